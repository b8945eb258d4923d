import type { Clock } from '../env/clock.ts'
import type { Origin } from '../resource/resource.ts'
import type { Change, Store } from '../store/store.ts'

const changesMax = 900

/**
 * Peers have a history of our rows that this store does not hold, because it was lost or restored from a backup. From
 * now on our rows belong to a new incarnation, which is higher than any that the peers have seen, so that they accept
 * the rows over newer stamps. May be interrupted and repeated. False if nothing had to change.
 */
export async function beginIncarnation(store: Store, self: Origin, formerIncarnation: number): Promise<boolean> {
  const before = store.incarnation
  await store.raiseIncarnation(formerIncarnation + 1)
  const { incarnation } = store
  const rows = await store.scan({ origin: self }, { at: (await store.head()).revision })
  const older = rows.filter(({ stamp }) => stamp.incarnation < incarnation)
  for (let at = 0; at < older.length; at += changesMax) {
    const changes = older
      .slice(at, at + changesMax)
      .map(
        ({ key, labels, spec, stamp }): Change => ({ op: 'put', key, labels, spec, stamp: { ...stamp, incarnation } }),
      )
    await store.commit({ changes, subject: 'mesh-system:control-plane', intent: 'begin a new incarnation' })
  }
  return incarnation !== before || older.length > 0
}

/**
 * Readers have seen a history that the store of a global does not hold, because it was restored from a backup. Rows that
 * are written from now on belong to a new incarnation. Otherwise newer stamps of the lost history, mainly on tombstones,
 * would win over them. Each process begins one at most.
 */
export function createIncarnationOnce(store: Store, clock: Pick<Clock, 'wallMs'>): () => Promise<void> {
  let begun: Promise<void> | undefined
  return () => {
    begun ??= store.raiseIncarnation(Math.max(store.incarnation + 1, Math.floor(clock.wallMs())))
    return begun
  }
}
