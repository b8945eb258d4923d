import type { Origin } from '../resource/resource.ts'
import type { Change, Store } from '../store/store.ts'

const changesMax = 900

/**
 * Others know a history of our rows that this store does not hold: it was lost, or restored from a backup. From here on our rows
 * belong to a new incarnation, above all that they have seen, so that what is said now counts everywhere. May be cut short and
 * done again. False if all of it was so already.
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
