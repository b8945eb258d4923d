import { lostHold, lostHoldId, lostRows, meansLost } from '@zonemesh/plane/status/lost.ts'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'

interface Deps {
  readonly store: Store
  readonly sync: Pick<SyncServer, 'zones' | 'release'>
}

/**
 * Requests from a zone that it lets through what it holds, by the name that it gave, so that it never lets through what
 * came since; or that it removes its lost proxies.
 */
export async function requestRelease(
  { store, sync }: Deps,
  zone: string,
  hold: string | undefined,
): Promise<Result<Hold, string>> {
  const status = sync.zones().get(zone)
  if (!status?.connected)
    return err(`zone "${zone}" is not connected to this control plane: run it against the zone itself`)
  const [held] = status.holds
  if (meansLost(held, hold)) {
    const lost = await lostRows(store, zone)
    if (lost.length === 0) return err(`zone "${zone}" holds nothing`)
    return sync.release(zone, lostHoldId) ? ok(lostHold(zone, lost.length)) : err(elsewhere(zone))
  }
  if (!held) return err(`zone "${zone}" holds nothing`)
  if (hold !== undefined && hold !== held.id) return err(`zone "${zone}" holds "${held.id}", not "${hold}"`)
  return sync.release(zone, held.id) ? ok(held) : err(elsewhere(zone))
}

const elsewhere = (zone: string): string =>
  `zone "${zone}" has no session with this process: run it against the zone itself`
