import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Channel } from '../transport/transport.ts'
import { decodeMessage } from './log/frames.ts'
import type { Message } from './log/messages.ts'

/** The method that zones call. */
export const syncPath = '/zonemesh.sync.v1.Sync/Session'

/** How long the other end may take for its first frame. */
const firstFrameMs = 10_000

/** The first frame of a channel; a sentence when there is none. Later frames wait until somebody listens for them. */
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
