import type { WebSocket } from 'ws'
import { createInbox } from './inbox.ts'
import type { Channel, ChannelEnd } from './transport.ts'

/** A message of a peer that is longer ends the channel. */
export const messageBytesMax = 10 * 1024 * 1024
/** What may wait for a slow reader before `send` says false, and down to which it is to fall before `drained` resolves. */
const sendBytesMax = 256 * 1024
const drainedBytes = 64 * 1024
/** Whoever goes on sending after false: the channel is cut here, as the other end takes nothing. */
const sendBytesCut = 4 * messageBytesMax
/** How to open a socket on either end. Pings are answered here, and only while the other end reads. */
export const webSocketOptions = {
  perMessageDeflate: false,
  maxPayload: messageBytesMax,
  autoPong: false,
  // A message is bytes; nobody sends text.
  skipUTF8Validation: true,
}

const endOf = (code: number): ChannelEnd => {
  if (code === 1006) return { refused: false, reason: 'the connection was closed' }
  if (code === 1000 || code === 1001 || code === 1005)
    return { refused: false, reason: 'the other end closed the session' }
  return { refused: false, reason: `the other end closed the session with WebSocket code ${code}` }
}

/** A channel over an open WebSocket: one binary message each. */
export function channelOverWebSocket(socket: WebSocket): Channel {
  let open = true
  const inbox = createInbox({
    pause: () => socket.pause(),
    resume() {
      if (open && socket.isPaused) socket.resume()
    },
  })
  let blocked: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<ChannelEnd>()
  const finish = (end: ChannelEnd) => {
    open = false
    blocked?.resolve()
    ended.resolve(end)
  }
  const cut = (reason: string) => {
    if (!open) return
    finish({ refused: false, reason })
    socket.terminate()
  }
  const written = () => {
    if (!blocked || (open && socket.bufferedAmount > drainedBytes)) return
    blocked.resolve()
    blocked = undefined
  }
  socket.binaryType = 'nodebuffer'
  socket.on('message', (data, isBinary) => {
    if (!isBinary || !Buffer.isBuffer(data)) return cut('expected binary messages, found text')
    inbox.take(data)
  })
  // One that sends pings and does not read would fill our memory with answers.
  socket.on('ping', (data) => {
    if (socket.bufferedAmount < drainedBytes) socket.pong(data)
  })
  socket.on('error', (cause) => finish({ refused: false, reason: cause.message }))
  socket.on('close', (code) => finish(endOf(code)))
  return {
    ended: ended.promise,
    send(bytes) {
      if (!open) return true
      if (socket.bufferedAmount > sendBytesCut) {
        cut(`the other end has not taken ${sendBytesCut} bytes`)
        return true
      }
      socket.send(bytes, written)
      if (socket.bufferedAmount <= sendBytesMax) return true
      blocked ??= Promise.withResolvers()
      return false
    },
    drained: async () => (open ? blocked?.promise : undefined),
    onMessage: inbox.listen,
    end() {
      if (open) socket.close(1000)
    },
    cut,
  }
}
