import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import type { ZoneSample } from './samples.ts'

/**
 * Records the positions that zones report. After an operator releases a zone, it shows its former position until it has
 * applied the older history. So a release counts from the first report of a lower position, once; it does not count if
 * the zone becomes current without one.
 */
export function createPositions(record: (event: HistoryEvent) => void) {
  const newest = new Map<string, ZoneSample>()
  const releasedAtMs = new Map<string, number>()

  function stepBack({ zone, requestedAtMs, atMs, store, revision, current }: ZoneSample): void {
    const sinceMs = releasedAtMs.get(zone)
    if (sinceMs === undefined) return
    const before = newest.get(zone)
    const isBack = before?.store === store && revision < before.revision
    if (isBack) record({ type: 'released', atMs, zone })
    if (isBack || (current && requestedAtMs >= sinceMs)) releasedAtMs.delete(zone)
  }

  return {
    /** The last report of a zone. */
    newest: (zone: string): ZoneSample | undefined => newest.get(zone),
    /** Call this before an operator releases a zone. */
    releasing: (zone: string, atMs: number): void => void releasedAtMs.set(zone, atMs),
    /** Records a report of a zone. */
    see(sample: ZoneSample): void {
      const { atMs, zone, epoch, store, revision, isRelayed } = sample
      const before = newest.get(zone)
      // What another replica repeats may be older than what the one with the session has shown.
      if (isRelayed && before && (epoch < before.epoch || (epoch === before.epoch && revision < before.revision)))
        return
      stepBack(sample)
      newest.set(zone, sample)
      // Without a session, each replica shows the position that it had last.
      if (store !== '' && epoch > 0) record({ type: 'applied', atMs, zone, session: String(epoch), store, revision })
    },
  }
}
