import type { Channel, ChannelEnd } from './transport.ts'

/** What a gRPC call offers on both ends. */
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

/** What may lie here while nobody listens: one frame of the handshake and the first credit. Above it nothing more is read. */
const earlyBytesMax = 4 * 1024 * 1024

/**
 * A channel over one gRPC call. `endOf` says what an error of this end means. `reset`: the end that was called has no other way
 * to be heard at once, because the end of a stream waits behind what the other one does not take.
 */
export function channelOver(call: DuplexCall, endOf: (cause: Error) => ChannelEnd, reset?: () => void): Channel {
  let listener: ((bytes: Uint8Array) => void) | undefined
  const early: Uint8Array[] = []
  let earlyBytes = 0
  let open = true
  let blocked: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<ChannelEnd>()
  const finish = (end: ChannelEnd) => {
    open = false
    blocked?.resolve()
    ended.resolve(end)
  }
  call.on('data', (bytes) => {
    if (listener) return listener(bytes)
    early.push(bytes)
    earlyBytes += bytes.length
    if (earlyBytes > earlyBytesMax) call.pause()
  })
  call.on('drain', () => {
    blocked?.resolve()
    blocked = undefined
  })
  call.on('error', (cause) => finish(endOf(cause)))
  call.on('cancelled', () => finish({ refused: false, reason: 'the other end is gone' }))
  call.on('end', () => finish({ refused: false, reason: 'the other end closed the session' }))
  call.on('close', () => finish({ refused: false, reason: 'the connection was closed' }))
  return {
    ended: ended.promise,
    send(bytes) {
      if (!open) return true
      // gRPC copies the message behind its header, so that a view of it is enough.
      const accepted = call.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      if (!accepted) blocked ??= Promise.withResolvers()
      return accepted
    },
    drained: async () => (open ? blocked?.promise : undefined),
    onMessage(next) {
      listener = next
      while (listener && early.length > 0) {
        const bytes = early.shift()
        earlyBytes -= bytes?.length ?? 0
        if (bytes) listener(bytes)
      }
      if (open && earlyBytes <= earlyBytesMax) call.resume()
    },
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
