import type { Socket as UdpSocket } from 'node:dgram'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { frame, readFrames } from './framing.ts'

/** Resolves to the answer; to undefined if there is none. Never rejects. */
export type Respond = (bytes: Uint8Array, clientAddress: string) => Promise<Uint8Array | undefined>

/** The members of a TCP socket that `createConnections` uses. */
export type Connection = Duplex & Pick<Socket, 'remoteAddress' | 'setTimeout'>

/**
 * How many TCP connections may be open, in total and from one address. At the limit, the connection that has been
 * silent longest is closed for a new one. If none has been silent for `silentForRoomMs`, the new one is refused.
 */
const connectionsMax = 200
const connectionsPerAddressMax = 100
const silentForRoomMs = 500
/** A connection without data for this long is closed. */
const idleMs = 10_000
/** How many questions of one connection may be pending. At the limit we stop reading from it. */
const pipelineMax = 64
/** How many bytes of answers a client may leave unread. Above it we stop reading its questions. */
const unreadBytesMax = 65_536
/** How many bytes of UDP answers may be unsent. Above it new answers are dropped, as on any full link. */
const unsentBytesMax = 4_194_304

/** Answers the questions that arrive at a UDP socket. Dispose it before the socket is closed. */
export function serveDatagrams(
  udp: Pick<UdpSocket, 'on' | 'send' | 'getSendQueueSize'>,
  respond: Respond,
  log: Log,
): Disposable {
  let closed = false
  udp.on('message', (bytes, peer) => {
    void respond(bytes, peer.address).then((reply) => {
      // Only a forged packet has source port 0, and Node throws on a send to it.
      if (!reply || closed || peer.port === 0 || udp.getSendQueueSize() > unsentBytesMax) return
      udp.send(reply, peer.port, peer.address)
    })
  })
  udp.on('error', (error) => log.warn({ error: error.message }, 'the DNS socket reported an error'))
  return {
    [Symbol.dispose]() {
      closed = true
    },
  }
}

/** The TCP connections of a server, within their limits. */
export function createConnections(clock: Pick<Clock, 'monotonicMs'>, respond: Respond) {
  /** The time of the last data of each connection. The connection that has been silent longest comes first. */
  const lastDataMsBySocket = new Map<Connection, number>()

  function touch(socket: Connection): void {
    lastDataMsBySocket.delete(socket)
    lastDataMsBySocket.set(socket, clock.monotonicMs())
  }

  /** Closes the connection that has been silent longest. False if none has been silent for `silentForRoomMs`. */
  function makeRoom([oldest]: readonly (readonly [Connection, number])[]): boolean {
    if (!oldest) return false
    const [socket, lastDataMs] = oldest
    if (clock.monotonicMs() - lastDataMs < silentForRoomMs) return false
    lastDataMsBySocket.delete(socket)
    socket.destroy()
    return true
  }

  function hasRoom(remoteAddress: string): boolean {
    const all = [...lastDataMsBySocket]
    const same = all.filter(([other]) => other.remoteAddress === remoteAddress)
    if (same.length >= connectionsPerAddressMax) return makeRoom(same)
    return all.length < connectionsMax || makeRoom(all)
  }

  return {
    accept(socket: Connection): void {
      const { remoteAddress = '' } = socket
      if (!hasRoom(remoteAddress)) return void socket.destroy()
      const clientAddress = remoteAddress.replace(/^::ffff:/, '')
      touch(socket)
      socket.on('close', () => lastDataMsBySocket.delete(socket))
      serveConnection(socket, (bytes) => {
        if (lastDataMsBySocket.has(socket)) touch(socket)
        return respond(bytes, clientAddress)
      })
    },
    closeAll(): void {
      for (const socket of lastDataMsBySocket.keys()) socket.destroy()
    },
  }
}

function serveConnection(socket: Connection, respond: (bytes: Uint8Array) => ReturnType<Respond>): void {
  let pending = 0
  function setPace(): void {
    if (pending < pipelineMax && socket.writableLength <= unreadBytesMax) socket.resume()
    else socket.pause()
  }
  const read = readFrames((bytes) => {
    pending += 1
    setPace()
    void respond(bytes).then((reply) => {
      pending -= 1
      if (!reply) return void socket.destroy()
      // A client that has closed its side gets no more answers.
      if (socket.writable) socket.write(frame(reply))
      setPace()
    })
  })
  socket.setTimeout(idleMs, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('drain', setPace)
  socket.on('data', read)
}
