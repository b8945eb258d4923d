import { messageOf } from '../base/base.ts'
import type { Channel } from '../transport/transport.ts'
import { decodeFrame, encodeMessage } from './log/frames.ts'
import type { GoodbyeCode, Message } from './log/messages.ts'

export type Frame =
  /** The message is undefined if its kind belongs to a later protocol. */
  | { readonly type: 'next'; readonly message: Message | undefined }
  /** The same frame has arrived before. */
  | { readonly type: 'repeated' }
  /** The session cannot go on without this frame. */
  | { readonly type: 'faulty'; readonly code: GoodbyeCode; readonly reason: string }

/**
 * Numbers the frames that a session sends, and checks the numbers of those that it receives. A channel may repeat
 * frames or lose them. Rows may be missing after a gap, so a gap ends the session, and the next one resumes by position.
 */
export function createFrameOrder(channel: Pick<Channel, 'send'>) {
  let sent = 0
  let received = 0
  return {
    send(message: Message): void {
      sent += 1
      channel.send(encodeMessage(message, sent))
    },
    read(bytes: Uint8Array): Frame {
      let frame: ReturnType<typeof decodeFrame>
      try {
        frame = decodeFrame(bytes)
      } catch (cause) {
        const reason = `a frame of ${bytes.length} bytes cannot be read: ${messageOf(cause)}`
        return { type: 'faulty', code: 'protocol', reason }
      }
      const { message, number } = frame
      // Frames of the handshake have no number.
      if (number > 0) {
        if (number <= received) return { type: 'repeated' }
        if (number !== received + 1)
          return { type: 'faulty', code: 'gap', reason: `expected frame ${received + 1}, found ${number}` }
        received = number
      }
      return { type: 'next', message }
    },
  }
}
