import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { Uplink } from '@zonemesh/shared/sync/uplink.ts'

/** Lets through what this zone holds, another global's store included. */
export function releaseHere(uplink: Uplink, hold: string | undefined): Result<Hold, string> {
  const held = uplink.state.value.hold
  if (!held) return err('this zone holds nothing')
  if (hold !== undefined && hold !== held.id) return err(`this zone holds "${held.id}", not "${hold}"`)
  return uplink.release(held.id) ? ok(held) : err('what this zone held is no longer held')
}
