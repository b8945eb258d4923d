import type { Readable } from 'node:stream'

/** Undefined at the end, however it came: by the peer, a status that was given here, or a lost connection. */
export type Messages = () => Promise<Buffer | undefined>

/**
 * The messages of a call, one at a time, read no faster than they are asked for. The iterator that streams have destroys the call
 * when there is no more to read, and with it a status that waits behind a write: its peer would wait for ever.
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
