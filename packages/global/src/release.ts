import { isForLost, lostHold, lostHoldId, lostRows } from '@zonemesh/plane/status/lost.ts'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'
import type { ReplicaQueries } from './replica-queries.ts'

interface Deps {
  readonly store: Store
  readonly sync: Pick<SyncServer, 'zones'>
  readonly release: ReplicaQueries['release']
}

/**
 * Asks a zone to release its hold, or to remove its lost proxies. The request contains the id of the hold, so that the
 * zone never releases a later one.
 */
export async function requestRelease(
  { store, sync, release }: Deps,
  zone: string,
  hold: string | undefined,
): Promise<Result<Hold, string>> {
  const status = sync.zones().get(zone)
  if (!status?.connected)
    return err(`zone "${zone}" is not connected to this control plane: run the command against the zone itself`)
  const [held] = status.holds
  if (isForLost(held, hold)) {
    const lost = await lostRows(store, zone)
    if (lost.length === 0) return err(`zone "${zone}" holds nothing`)
    return (await release(zone, lostHoldId)) ? ok(lostHold(zone, lost.length)) : err(elsewhere(zone))
  }
  if (!held) return err(`zone "${zone}" holds nothing`)
  if (hold !== undefined && hold !== held.id) return err(`zone "${zone}" holds "${held.id}", not "${hold}"`)
  return (await release(zone, held.id)) ? ok(held) : err(elsewhere(zone))
}

const elsewhere = (zone: string): string =>
  `zone "${zone}" has no session with this global: run the command against the zone itself`
