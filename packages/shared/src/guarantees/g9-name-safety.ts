import type { Judge, Violation } from './history.ts'

/** G9: an address of a zone answers for another service only after it has answered for none for the whole quarantine. */
export const judgeNameSafety =
  (quarantineMs: number): Judge =>
  (history) => {
    const violations: Violation[] = []
    const holders = new Map<string, { readonly service: string; untilMs: number }>()
    const addressOf = new Map<string, string>()
    for (const event of history) {
      if (event.type === 'store-exchanged') {
        for (const name of [...holders.keys()]) if (name.startsWith(`${event.plane} `)) holders.delete(name)
      }
      if (event.type !== 'answered') continue
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
