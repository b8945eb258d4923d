import type { Judge, Violation } from './history.ts'

/** G4: a service keeps its address in a zone as long as the zone keeps its store and names the service. */
export const judgeResumable: Judge = (history) => {
  const violations: Violation[] = []
  const addresses = new Map<string, string>()
  for (const event of history) {
    if (event.type === 'store-exchanged') {
      for (const name of [...addresses.keys()]) if (name.startsWith(`${event.plane} `)) addresses.delete(name)
    }
    if (event.type !== 'answered') continue
    const name = `${event.zone} ${event.service}`
    const before = addresses.get(name)
    if (event.address === undefined) continue
    if (before !== undefined && before !== event.address) {
      const reason = `zone ${event.zone} answers ${event.service} with ${event.address}, before with ${before}`
      violations.push({ guarantee: 'G4', atMs: event.atMs, reason })
    }
    addresses.set(name, event.address)
  }
  return violations
}
