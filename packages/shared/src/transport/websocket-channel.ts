import type { WebSocket } from 'ws'
import { createInbox } from './inbox.ts'
import type { Channel, ChannelEnd } from './transport.ts'

/** A longer message of the peer ends the channel. */
export const messageBytesMax = 10 * 1024 * 1024
/** `send` returns false above the first number of unsent bytes, and `drained` resolves at or below the second. */
const sendBytesMax = 256 * 1024
const drainedBytes = 64 * 1024
/** The channel is cut at this number of unsent bytes, for senders that ignore `false`. */
const sendBytesCut = 4 * messageBytesMax
/** Options of both clients and servers. The channel itself answers pings, and only while the peer reads. */
export const webSocketOptions = {
  perMessageDeflate: false,
  maxPayload: messageBytesMax,
  autoPong: false,
  // Messages are binary; a text message ends the channel.
  skipUTF8Validation: true,
}

const endOf = (code: number): ChannelEnd => {
  if (code === 1006) return { refused: false, reason: 'the connection was closed' }
  if (code === 1000 || code === 1001 || code === 1005) return { refused: false, reason: 'the peer closed the session' }
  return { refused: false, reason: `the peer closed the session with WebSocket code ${code}` }
}

/** A channel over an open WebSocket. Each message is one binary message of the socket. */
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
  // A peer that sends pings and does not read must not fill our memory with answers.
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
        cut(`the peer has not read ${sendBytesCut} bytes`)
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
