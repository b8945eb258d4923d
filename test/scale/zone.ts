import {
  type Child,
  createBookmarks,
  type Hub,
  idleMarkMs,
  lineDelayMs,
  type Model,
  type ModelChange,
  type Session,
} from './hub.ts'

/** A zone of the model: it stores what it gets after a fixed delay, and answers as `pulse.ts` and `credit.ts` do. */
export interface ModelZone {
  /** Writes a row of this zone and sends it. */
  write(change: ModelChange): void
}

export function attachZone(model: Model, hub: Hub, index: number, storeMs: number): ModelZone {
  const { timeline } = model
  let owesCredit = false
  let hasMarkTimer = false
  const up = (types: readonly ('credit' | 'bookmark' | 'mark' | 'rows')[], rows: readonly ModelChange[] = []) =>
    timeline.at(lineDelayMs(model), () => session.arrive({ types, rows, entries: 0 }))
  const announce = createBookmarks(timeline, model.random, () => {
    up(owesCredit ? ['credit', 'bookmark'] : ['bookmark'])
    owesCredit = false
  })

  /** The commit of the rows is a mark of the zone, without rows for the global. */
  function markSoon(): void {
    if (hasMarkTimer) return
    hasMarkTimer = true
    timeline.at(idleMarkMs, () => {
      hasMarkTimer = false
      up(['mark'])
    })
  }

  const child: Child = {
    covers: (zone) => zone === index,
    receive(rows) {
      if (rows.length === 0) return announce()
      owesCredit = true
      timeline.at(storeMs, () => {
        for (const change of rows) stored(change, timeline.now())
        announce()
        markSoon()
      })
    },
  }
  const session: Session = hub.attach(child)
  return { write: (change) => up(['rows', 'mark'], [change]) }
}

function stored(change: ModelChange, nowMs: number): void {
  change.missing -= 1
  if (change.missing === 0) change.lagMs = nowMs - change.atMs
}
