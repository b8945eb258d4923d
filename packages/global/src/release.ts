import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'

/** Asks a zone to let through what it holds: by the name that it gave, so that it never lets through what came since. */
export function askRelease(sync: SyncServer, zone: string, hold: string | undefined): Result<Hold, string> {
  const status = sync.zones().get(zone)
  if (!status?.connected)
    return err(`zone "${zone}" is not connected to this control plane: run it against the zone itself`)
  const [held] = status.holds
  if (!held) return err(`zone "${zone}" holds nothing`)
  if (hold !== undefined && hold !== held.id) return err(`zone "${zone}" holds "${held.id}", not "${hold}"`)
  return sync.release(zone)
    ? ok(held)
    : err(`zone "${zone}" has no session with this process: run it against the zone itself`)
}
