import { isForLost, lostHold } from '@zonemesh/plane/status/lost.ts'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { Joined } from './joined.ts'

interface Deps {
  readonly zone: string
  readonly uplink: Pick<Joined, 'state' | 'release'> | undefined
  /** Removes the lost proxies. Returns their number. */
  removeLost(): Promise<number>
}

/** Releases the hold of this zone, which may be on the store of another global, or removes its lost proxies. */
export async function releaseHold(deps: Deps, hold: string | undefined): Promise<Result<Hold, string>> {
  const held = deps.uplink?.state().hold
  if (isForLost(held, hold)) {
    const removed = await deps.removeLost()
    return removed > 0 ? ok(lostHold(deps.zone, removed)) : err('this zone holds nothing')
  }
  if (!held) return err('this zone holds nothing')
  if (hold !== undefined && hold !== held.id) return err(`this zone holds "${held.id}", not "${hold}"`)
  return deps.uplink?.release(held.id) ? ok(held) : err(`the hold "${held.id}" has ended in the meantime`)
}
