import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Position, Store } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import { decodeMessage } from './log/frames.ts'
import type { Message, Welcome } from './log/messages.ts'

/** The method that zones call. */
export const syncPath = '/zonemesh.sync.v1.Sync/Session'

/** A caller whose token was accepted. */
export interface Admitted {
  readonly zone: string
  /** Calls `end` once when the token is no longer valid, with a reason for the zone. */
  readonly watch?: (end: (reason: string) => void) => Disposable
}

/** Whether our history holds the position of the peer. */
export const standingOf = async (
  store: Pick<Store, 'standing'>,
  position: Position | undefined,
): Promise<Welcome['standing']> => (position ? store.standing(position) : 'new')

/**
 * How long the peer may take for its first frame. In this time a link of 1 KiB/s carries a frame with a thousand
 * origins.
 */
const firstFrameMs = 20_000

/**
 * How many sessions of one zone may wait for a welcome. Each replica of a zone dials one session at a time, so more
 * calls come from a faulty caller. They are refused.
 */
const handshakesPerZoneMax = 8

export interface Handshakes {
  /** Counts a session until disposed. Undefined if its zone has too many. */
  enter(zone: string): Disposable | undefined
}

export function createHandshakes(): Handshakes {
  const countByZone = new Map<string, number>()
  return {
    enter(zone) {
      const count = countByZone.get(zone) ?? 0
      if (count >= handshakesPerZoneMax) return undefined
      countByZone.set(zone, count + 1)
      return {
        [Symbol.dispose]() {
          const left = (countByZone.get(zone) ?? 1) - 1
          if (left > 0) countByZone.set(zone, left)
          else countByZone.delete(zone)
        },
      }
    },
  }
}

/** The first frame of a channel, or a sentence why there is none. Later frames wait for the next `onMessage`. */
export function firstMessage(clock: Clock, channel: Channel): Promise<Message | string> {
  return new Promise((resolve) => {
    const timer = clock.after(firstFrameMs, () => settle(`no first frame within ${firstFrameMs} ms`))
    const settle = (found: Message | string) => {
      timer[Symbol.dispose]()
      resolve(found)
    }
    void channel.ended.then((end) => settle(end.reason))
    channel.onMessage((bytes) => {
      channel.onMessage(undefined)
      try {
        settle(decodeMessage(bytes) ?? 'the first frame is of an unknown kind')
      } catch (cause) {
        settle(`the first frame cannot be read: ${messageOf(cause)}`)
      }
    })
  })
}
