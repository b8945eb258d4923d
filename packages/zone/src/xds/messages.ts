import type { Readable } from 'node:stream'

/** Returns undefined at the end of the call, by the peer, by our status, or by a lost connection. */
export type Messages = () => Promise<Buffer | undefined>

/**
 * Reads the messages of a call one at a time, with back-pressure. The iterator of Node's streams must not be used: it
 * destroys the call at its end, and with it a status that waits for a write, so the peer would wait for ever.
 */
export function messagesOf(call: Readable): Messages {
  let over = false
  let more = Promise.withResolvers<void>()
  const wake = () => {
    more.resolve()
    more = Promise.withResolvers()
  }
  const end = () => {
    over = true
    wake()
  }
  call.on('readable', wake).on('end', end).on('error', end).on('close', end)
  return async () => {
    for (;;) {
      const message: unknown = over ? null : call.read()
      // Our deserializer yields the raw bytes.
      if (Buffer.isBuffer(message)) return message
      if (over) return undefined
      await more.promise
    }
  }
}
