import type { HistoryEvent, Judge, SeenVersion, Violation } from './history.ts'

/** How old the information behind a claim may be. */
export const leaseMs = 10_000

interface Mark {
  readonly revision: number
  readonly atMs: number
}

/** A version that the global has written and a zone does not hold yet. */
interface Missing {
  readonly content: string
  readonly revision: number
  readonly atMs: number
}

type Claimed = Extract<HistoryEvent, { type: 'claimed' }>
type Received = Extract<HistoryEvent, { type: 'receipt' }>

/**
 * G8: no plane reports a zone as current if the zone lacks a commit that is older than a lease, and no receipt reports
 * more than the zone has. The judge compares positions and then rows, because a position that moves without its rows is
 * a false claim too. It compares only rows that every zone must hold (`isForAll`). Without `isForAll` it compares only
 * positions.
 */
export const judgeHonestStatus =
  (options: { readonly isForAll?: (version: SeenVersion) => boolean } = {}): Judge =>
  (history) => {
    const violations: Violation[] = []
    const marksByStore = new Map<string, Mark[]>()
    const appliedByZone = new Map<string, { readonly store: string; readonly revision: number }>()
    const bestByZone = new Map<string, number>()
    const rows = createRowBoard()

    function written(event: Extract<HistoryEvent, { type: 'written' }>): void {
      rows.written(
        event,
        event.versions.filter((version) => version.origin === 'global' && options.isForAll?.(version)),
      )
      if (event.plane !== 'global' || !event.mark) return
      const marks = marksByStore.get(event.store) ?? []
      marksByStore.set(event.store, marks)
      // A store that was rolled back assigns revisions again.
      while ((marks.at(-1)?.revision ?? -1) >= event.revision) marks.pop()
      marks.push({ revision: event.revision, atMs: event.atMs })
    }

    function received({ zone, store, revision, level, by, atMs }: Received): void {
      const lacks = rows.missing(zone, (one) => one.revision <= revision)
      const isPast = (bestByZone.get(`${zone} ${store}`) ?? 0) < revision
      if (!isPast && lacks === undefined) return
      const found = isPast ? 'never took it' : `lacks ${lacks}`
      const reason = `${by} reports revision ${revision} as ${level} in zone ${zone}, which ${found}`
      violations.push({ guarantee: 'G8', atMs, reason })
    }

    function claimed({ zone, store, by, atMs }: Claimed): void {
      const due = marksByStore.get(store)?.findLast((mark) => mark.atMs <= atMs - leaseMs)?.revision ?? 0
      const applied = appliedByZone.get(zone)
      const has = applied?.store === store ? applied.revision : 0
      const lacks = rows.missing(zone, (one) => one.atMs <= atMs - leaseMs)
      if (has >= due && lacks === undefined) return
      const found = has < due ? `it has ${has}, and ${due} was` : `it lacks ${lacks}, which was`
      const reason = `${by} calls zone ${zone} current: ${found} committed ${leaseMs} ms before`
      violations.push({ guarantee: 'G8', atMs, reason })
    }

    /** Revisions of a lost history are assigned again, so what a zone has applied of it no longer counts. */
    function exchanged({ plane, revision }: Extract<HistoryEvent, { type: 'store-exchanged' }>): void {
      rows.exchanged(plane)
      // The marks that an older copy lacks are no longer due, also before the copy assigns their revisions again.
      if (plane === 'global' && revision !== undefined)
        for (const marks of marksByStore.values()) while ((marks.at(-1)?.revision ?? -1) > revision) marks.pop()
      // A report of what a zone had before it lost its own store was true at that time. An older copy of the global's
      // store has the same commits up to its newest revision.
      if (plane !== 'global') return
      if (revision === undefined) bestByZone.clear()
      for (const [name, best] of bestByZone) bestByZone.set(name, Math.min(best, revision ?? 0))
    }

    for (const event of history) {
      if (event.type === 'store-exchanged') exchanged(event)
      if (event.type === 'written') written(event)
      if (event.type === 'applied') {
        appliedByZone.set(event.zone, event)
        const name = `${event.zone} ${event.store}`
        bestByZone.set(name, Math.max(bestByZone.get(name) ?? 0, event.revision))
      }
      if (event.type === 'receipt') received(event)
      if (event.type === 'claimed') claimed(event)
    }
    return violations
  }

/**
 * The rows that the global has written and each zone holds, by key. The contents of an exchanged store are not in the
 * history, so only later writes count.
 */
function createRowBoard() {
  const atGlobal = new Map<string, Missing>()
  const zones = new Map<string, { readonly held: Map<string, string>; readonly missing: Map<string, Missing[]> }>()
  const contentOf = ({ state, content }: SeenVersion) => (state === 'live' ? content : 'gone')

  function zoneOf(zone: string) {
    const known = zones.get(zone)
    if (known) return known
    const made = { held: new Map<string, string>(), missing: new Map([...atGlobal].map(([key, one]) => [key, [one]])) }
    zones.set(zone, made)
    return made
  }

  function expect(zone: string, key: string, one: Missing): void {
    const { held, missing } = zoneOf(zone)
    const list = missing.get(key)
    if ((held.get(key) ?? 'gone') === one.content) missing.delete(key)
    else if (list) list.push(one)
    else missing.set(key, [one])
  }

  function hold(zone: string, key: string, content: string): void {
    const { held, missing } = zoneOf(zone)
    held.set(key, content)
    const list = missing.get(key)
    if (!list) return
    list.splice(0, list.findLastIndex((one) => one.content === content) + 1)
    if (list.length === 0) missing.delete(key)
  }

  return {
    written(
      { plane, revision, atMs }: Extract<HistoryEvent, { type: 'written' }>,
      versions: readonly SeenVersion[],
    ): void {
      for (const version of versions) {
        const content = contentOf(version)
        if (plane !== 'global') {
          hold(plane, version.key, content)
          continue
        }
        const one = { content, revision, atMs }
        for (const zone of zones.keys()) expect(zone, version.key, one)
        if (content === 'gone') atGlobal.delete(version.key)
        else atGlobal.set(version.key, one)
      }
    },
    exchanged(plane: string): void {
      if (plane === 'global') atGlobal.clear()
      for (const [zone, { held, missing }] of zones) {
        if (plane !== 'global' && plane !== zone) continue
        missing.clear()
        if (plane === zone) held.clear()
      }
    },
    /** The first key of a zone whose missing row is due. */
    missing(zone: string, isDue: (one: Missing) => boolean): string | undefined {
      for (const [key, [first]] of zones.get(zone)?.missing ?? []) if (first && isDue(first)) return key
      return undefined
    },
  }
}
