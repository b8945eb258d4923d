import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import type { ZoneSample } from './samples.ts'

/**
 * Writes down how far zones say they are. A zone goes on at some moment after an operator let it, and shows its former position
 * until it has taken the older history: a release counts from where the zone is seen to step back, once, and not at all when
 * it is seen current without.
 */
export function createPositions(record: (event: HistoryEvent) => void) {
  const newest = new Map<string, ZoneSample>()
  const releasedAtMs = new Map<string, number>()

  function stepBack({ zone, askedAtMs, atMs, store, revision, current }: ZoneSample): void {
    const sinceMs = releasedAtMs.get(zone)
    if (sinceMs === undefined) return
    const before = newest.get(zone)
    const isBack = before?.store === store && revision < before.revision
    if (isBack) record({ type: 'released', atMs, zone })
    if (isBack || (current && askedAtMs >= sinceMs)) releasedAtMs.delete(zone)
  }

  return {
    /** The last answer of a zone. */
    newest: (zone: string): ZoneSample | undefined => newest.get(zone),
    /** Told before an operator lets a zone go on. */
    releasing: (zone: string, atMs: number): void => void releasedAtMs.set(zone, atMs),
    /** An answer of a zone. */
    see(sample: ZoneSample): void {
      stepBack(sample)
      const { atMs, zone, epoch, store, revision } = sample
      newest.set(zone, sample)
      if (store !== '') record({ type: 'applied', atMs, zone, session: String(epoch), store, revision })
    },
  }
}
