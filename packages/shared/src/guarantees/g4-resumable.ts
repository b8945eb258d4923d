import type { Judge, Violation } from './history.ts'

/**
 * G4: a service keeps its address in a zone as long as the zone keeps its store, and during the quarantine after the
 * service has disappeared. A zone that got an older copy of its store may answer with the addresses of that copy until
 * it has applied a newer mark of the global. After that, the zone uses the newer addresses that the global remembers,
 * or must not use the old ones.
 */
export const judgeResumable =
  (quarantineMs: number): Judge =>
  (history) => {
    const violations: Violation[] = []
    const known = new Map<string, { readonly address: string; goneAtMs: number | undefined }>()
    /** Zones with an older copy of their store, with the mark of that copy. */
    const olderCopies = new Map<string, number | undefined>()
    for (const event of history) {
      if (event.type === 'applied' && olderCopies.has(event.zone)) {
        const mark = olderCopies.get(event.zone) ?? event.revision
        if (event.revision > mark) olderCopies.delete(event.zone)
        else olderCopies.set(event.zone, mark)
      }
      if (event.type === 'store-exchanged') {
        if (event.kept.length > 0) olderCopies.set(event.plane, undefined)
        for (const name of [...known.keys()]) if (name.startsWith(`${event.plane} `)) known.delete(name)
      }
      if (event.type !== 'answered' || olderCopies.has(event.zone)) continue
      const name = `${event.zone} ${event.service}`
      const before = known.get(name)
      if (event.address === undefined) {
        if (before) before.goneAtMs ??= event.atMs
        continue
      }
      const isFree = before?.goneAtMs !== undefined && event.atMs - before.goneAtMs >= quarantineMs
      if (before && before.address !== event.address && !isFree) {
        const reason = `zone ${event.zone} answers ${event.service} with ${event.address}, before with ${before.address}`
        violations.push({ guarantee: 'G4', atMs: event.atMs, reason })
      }
      known.set(name, { address: event.address, goneAtMs: undefined })
    }
    return violations
  }
