import type { HistoryEvent, Judge, SeenVersion, Violation } from './history.ts'

type Written = Extract<HistoryEvent, { type: 'written' }>

/**
 * G6: whatever disappears at a reader has gone at its owner: it was deleted there after the version that the reader had, or
 * its owner's store was lost or exchanged since, and somebody has decided or a time has passed.
 */
export const judgeNoFalseDelete: Judge = (history) => {
  const violations: Violation[] = []
  /** When the row was last gone at its owner. */
  const goneAtMs = new Map<string, number>()
  const exchangedAtMs = new Map<string, number>()
  const heldByReader = new Map<string, { readonly version: SeenVersion; readonly atMs: number }>()

  function judge(event: Written, version: SeenVersion): void {
    const name = `${event.plane} ${version.key}`
    if (version.state === 'live') {
      heldByReader.set(name, { version, atMs: event.atMs })
      return
    }
    const held = heldByReader.get(name)
    heldByReader.delete(name)
    if (!held) return
    const gone = goneAtMs.get(version.key)
    const exchanged = exchangedAtMs.get(version.origin)
    if (gone !== undefined || exchanged !== undefined) return
    const reason = `${event.plane} lost ${version.key}, which ${version.origin} has`
    violations.push({ guarantee: 'G6', atMs: event.atMs, reason })
  }

  for (const event of history) {
    if (event.type === 'store-exchanged') {
      exchangedAtMs.set(event.plane, event.atMs)
      for (const name of [...heldByReader.keys()]) if (name.startsWith(`${event.plane} `)) heldByReader.delete(name)
    }
    if (event.type !== 'written') continue
    for (const version of event.versions) {
      if (version.origin !== event.plane) judge(event, version)
      else if (version.state !== 'live') goneAtMs.set(version.key, event.atMs)
    }
  }
  return violations
}
