import { globalOrigin, keyText } from '../resource/resource.ts'
import type { Judge, Violation } from './history.ts'

/**
 * G9: an address of a zone answers for another service only after a whole quarantine without any service, even if the
 * zone has lost its store in between. Two cases are excluded: a zone with an older copy of its store, and a zone that
 * was not connected between the loss of its store and a loss of the global's, in either order. In both cases no plane
 * has the newest addresses.
 */
export const judgeNameSafety =
  (quarantineMs: number): Judge =>
  (history) => {
    const violations: Violation[] = []
    const holders = new Map<string, { readonly service: string; untilMs: number }>()
    const addressOf = new Map<string, string>()
    const zones = new Set<string>()
    /** Zones whose numbers the global has lost. */
    const unprotected = new Set<string>()
    /** Zones that have lost their own numbers. */
    const lost = new Set<string>()
    /** Zones without a session since the store of the global was exchanged. They may still apply the lost history. */
    const unmet = new Set<string>()
    /** The row that the global writes when it opens a session with a zone. */
    const epochKey = (zone: string) => keyText({ origin: globalOrigin, kind: 'SyncEpoch', mesh: '', name: zone })
    const excuse = (zone: string): void => {
      for (const name of [...holders.keys()]) if (name.startsWith(`${zone} `)) holders.delete(name)
    }
    for (const event of history) {
      if (event.type === 'written' && event.plane === globalOrigin) {
        for (const zone of unmet) if (event.versions.some(({ key }) => key === epochKey(zone))) unmet.delete(zone)
      }
      if (event.type === 'applied' && !unmet.has(event.zone)) {
        for (const zones of [unprotected, lost]) zones.delete(event.zone)
      }
      if (event.type === 'store-exchanged' && event.plane === globalOrigin) {
        for (const zone of zones) {
          unprotected.add(zone)
          unmet.add(zone)
        }
        for (const zone of lost) excuse(zone)
      } else if (event.type === 'store-exchanged') {
        lost.add(event.plane)
        if (event.kept.length > 0 || unprotected.has(event.plane)) excuse(event.plane)
      }
      if (event.type !== 'answered') continue
      zones.add(event.zone)
      const before = addressOf.get(`${event.zone} ${event.service}`)
      if (event.address === undefined) {
        const holder = holders.get(`${event.zone} ${before}`)
        if (holder?.service === event.service) holder.untilMs = event.atMs
        continue
      }
      addressOf.set(`${event.zone} ${event.service}`, event.address)
      const name = `${event.zone} ${event.address}`
      const holder = holders.get(name)
      if (holder && holder.service !== event.service && event.atMs - holder.untilMs < quarantineMs) {
        const reason = `${event.address} of zone ${event.zone} answers for ${event.service}, and did for ${holder.service} ${Math.round(event.atMs - holder.untilMs)} ms before`
        violations.push({ guarantee: 'G9', atMs: event.atMs, reason })
      }
      holders.set(name, { service: event.service, untilMs: event.atMs })
    }
    return violations
  }
