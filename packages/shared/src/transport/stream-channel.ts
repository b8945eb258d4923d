import { createInbox } from './inbox.ts'
import type { Channel, ChannelEnd } from './transport.ts'

/** The part of a gRPC call that its client and its server share. */
interface DuplexCall {
  write(bytes: Buffer): boolean
  end(): void
  cancel?(): void
  pause(): unknown
  resume(): unknown
  on(event: 'data', listener: (bytes: Buffer) => void): unknown
  on(event: 'drain' | 'end' | 'cancelled' | 'close', listener: () => void): unknown
  on(event: 'error', listener: (cause: Error) => void): unknown
}

/**
 * A channel over one gRPC call. `endOf` converts an error of the call. `reset` resets the connection: a server has no
 * other way to end a call at once, because the end of a stream waits behind the bytes that the client does not read.
 */
export function channelOver(call: DuplexCall, endOf: (cause: Error) => ChannelEnd, reset?: () => void): Channel {
  let open = true
  const inbox = createInbox({
    pause: () => void call.pause(),
    resume() {
      if (open) call.resume()
    },
  })
  let blocked: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<ChannelEnd>()
  const finish = (end: ChannelEnd) => {
    open = false
    blocked?.resolve()
    ended.resolve(end)
  }
  call.on('data', inbox.take)
  call.on('drain', () => {
    blocked?.resolve()
    blocked = undefined
  })
  call.on('error', (cause) => finish(endOf(cause)))
  call.on('cancelled', () => finish({ refused: false, reason: 'the peer has disconnected' }))
  call.on('end', () => finish({ refused: false, reason: 'the peer closed the session' }))
  call.on('close', () => finish({ refused: false, reason: 'the connection was closed' }))
  return {
    ended: ended.promise,
    send(bytes) {
      if (!open) return true
      // A view is enough, because gRPC copies the message behind its header.
      const accepted = call.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      if (!accepted) blocked ??= Promise.withResolvers()
      return accepted
    },
    drained: async () => (open ? blocked?.promise : undefined),
    onMessage: inbox.listen,
    end() {
      if (open) call.end()
    },
    cut(reason) {
      if (!open) return
      if (call.cancel) call.cancel()
      else if (reset) reset()
      else call.end()
      finish({ refused: false, reason })
    },
  }
}
