import type { Judge, Violation } from './history.ts'

/** G1: within a session a zone takes the marks of one store in increasing order. */
export const judgeOrdered: Judge = (history) => {
  const violations: Violation[] = []
  const newest = new Map<string, number>()
  for (const event of history) {
    // An operator has accepted another history, which may be an older one.
    if (event.type === 'released') {
      for (const name of [...newest.keys()]) if (name.startsWith(`${event.zone} `)) newest.delete(name)
    }
    if (event.type !== 'applied') continue
    const name = `${event.zone} ${event.session} ${event.store}`
    const before = newest.get(name)
    if (before !== undefined && event.revision < before) {
      const reason = `zone ${event.zone} took revision ${event.revision} after ${before} of store ${event.store}`
      violations.push({ guarantee: 'G1', atMs: event.atMs, reason })
    }
    newest.set(name, Math.max(before ?? 0, event.revision))
  }
  return violations
}
