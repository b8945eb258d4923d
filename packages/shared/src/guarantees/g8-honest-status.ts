import type { Judge, Violation } from './history.ts'

/** A claim may rest on a word that is at most so old. */
export const leaseMs = 10_000

interface Mark {
  readonly revision: number
  readonly atMs: number
}

/** G8: nobody says "current" of a zone that lacks what was committed a lease ago, and no receipt tells more than there is. */
export const judgeHonestStatus: Judge = (history) => {
  const violations: Violation[] = []
  const marksByStore = new Map<string, Mark[]>()
  const appliedByZone = new Map<string, { readonly store: string; readonly revision: number }>()
  const bestByZone = new Map<string, number>()
  for (const event of history) {
    if (event.type === 'written' && event.plane === 'global' && event.mark) {
      const marks = marksByStore.get(event.store) ?? []
      marksByStore.set(event.store, marks)
      // A store that was rolled back gives its revisions out again.
      while ((marks.at(-1)?.revision ?? -1) >= event.revision) marks.pop()
      marks.push({ revision: event.revision, atMs: event.atMs })
    }
    if (event.type === 'applied') {
      appliedByZone.set(event.zone, event)
      const name = `${event.zone} ${event.store}`
      bestByZone.set(name, Math.max(bestByZone.get(name) ?? 0, event.revision))
    }
    if (event.type === 'receipt' && (bestByZone.get(`${event.zone} ${event.store}`) ?? 0) < event.revision) {
      const reason = `a receipt says that zone ${event.zone} has revision ${event.revision}, which it never took`
      violations.push({ guarantee: 'G8', atMs: event.atMs, reason })
    }
    if (event.type !== 'claimed') continue
    const due = marksByStore.get(event.store)?.findLast(({ atMs }) => atMs <= event.atMs - leaseMs)?.revision ?? 0
    const applied = appliedByZone.get(event.zone)
    const has = applied?.store === event.store ? applied.revision : 0
    if (has >= due) continue
    const reason = `${event.by} says that zone ${event.zone} is current: it has ${has}, and ${due} was committed ${leaseMs} ms before`
    violations.push({ guarantee: 'G8', atMs: event.atMs, reason })
  }
  return violations
}
