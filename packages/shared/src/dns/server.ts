import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import type { Result } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { type AnswerContext, answer, type DnsTable, plain } from './answer.ts'
import { rcodes } from './codec.ts'
import { createForwarder, type DnsAddress, type Forwarder, refusesItself } from './forward.ts'
import { frame, readFrames } from './framing.ts'

export interface DnsServerDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
}

export interface DnsServerConfig {
  readonly host: string
  /** 0 selects a free port, the same for UDP and TCP. */
  readonly port: number
  /** Called for each question, so the table may change. */
  table(): DnsTable
  /** The upstreams for names of other domains. Without it such questions are refused. */
  readonly forward?: { readonly servers: readonly DnsAddress[] }
  /** Whether questions of this client are forwarded. An open forwarder could be misused for amplification attacks. */
  allowForward(clientAddress: string): boolean
}

export interface DnsServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
}

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
const unreadBytesMax = 64 * 1024
/** How many bytes of UDP answers may be unsent. Above it new answers are dropped, as on any full link. */
const unsentBytesMax = 4 * 1024 * 1024

/**
 * Answers over UDP and TCP on one address. Rejects if the address is taken, or if an upstream is this server itself.
 */
export async function startDnsServer(deps: DnsServerDeps, config: DnsServerConfig): Promise<DnsServer> {
  const { udp, tcp, port } = await bindBoth(config)
  const itself = config.forward?.servers.find((server) => refusesItself(server, config.host, port))
  if (itself) {
    await Promise.all([close(udp), close(tcp)])
    throw new Error(`the DNS upstream ${itself.host}:${itself.port} is this server itself`)
  }
  const forwarder = config.forward && createForwarder(deps, config.forward.servers)
  const respond = async (bytes: Uint8Array, context: AnswerContext): Promise<Uint8Array | undefined> => {
    const answered = answer(bytes, config.table(), context)
    if (answered.type === 'drop') return undefined
    if (answered.type === 'answer') return answered.bytes
    if (!forwarder || !config.allowForward(context.clientAddress))
      return plain(answered.query, rcodes.refused, context).bytes
    const relayed = await forwarder.ask(bytes, context.transport)
    return relayed ?? plain(answered.query, rcodes.servFail, context).bytes
  }
  /** No question ends the process: if answering it throws, it is dropped. */
  const respondSafely: typeof respond = (bytes, context) =>
    respond(bytes, context).catch((thrown: unknown) => {
      deps.log.error({ err: thrown }, 'a DNS question could not be answered')
      return undefined
    })
  const recursionAvailable = forwarder !== undefined
  let closed = false
  udp.on('message', (bytes, peer) => {
    const context = { clientAddress: peer.address, transport: 'udp', recursionAvailable } as const
    // Own names are answered at once; only forwarding takes time.
    void respondSafely(bytes, context).then((reply) => {
      // Only a forged packet has source port 0, and Node throws on a send to it.
      if (!reply || closed || peer.port === 0 || udp.getSendQueueSize() > unsentBytesMax) return
      udp.send(reply, peer.port, peer.address)
    })
  })
  udp.on('error', (error) => deps.log.warn({ error: error.message }, 'the DNS socket reported an error'))
  /** The time of the last data of each connection. The connection that has been silent longest comes first. */
  const sockets = new Map<Socket, number>()
  const touch = (socket: Socket) => {
    sockets.delete(socket)
    sockets.set(socket, deps.clock.monotonicMs())
  }
  /** Closes the connection that has been silent longest. False if none has been silent for `silentForRoomMs`. */
  const makeRoom = (ofAddress: string | undefined): boolean => {
    for (const [socket, lastDataMs] of sockets) {
      if (deps.clock.monotonicMs() - lastDataMs < silentForRoomMs) return false
      if (ofAddress !== undefined && socket.remoteAddress !== ofAddress) continue
      sockets.delete(socket)
      socket.destroy()
      return true
    }
    return false
  }
  tcp.on('connection', (socket) => {
    const { remoteAddress = '' } = socket
    const same = [...sockets.keys()].filter((other) => other.remoteAddress === remoteAddress).length
    const isFull =
      (same >= connectionsPerAddressMax && !makeRoom(remoteAddress)) ||
      (sockets.size >= connectionsMax && !makeRoom(undefined))
    if (isFull) return void socket.destroy()
    touch(socket)
    socket.on('close', () => sockets.delete(socket))
    serveConnection(socket, (bytes) => {
      if (sockets.has(socket)) touch(socket)
      const clientAddress = remoteAddress.replace(/^::ffff:/, '')
      return respondSafely(bytes, { clientAddress, transport: 'tcp', recursionAvailable })
    })
  })
  return {
    host: config.host,
    port,
    [Symbol.asyncDispose]: () => {
      closed = true
      return stop(udp, tcp, sockets.keys(), forwarder)
    },
  }
}

function serveConnection(socket: Socket, respond: (bytes: Uint8Array) => Promise<Uint8Array | undefined>): void {
  let pending = 0
  const readOn = () => {
    if (pending < pipelineMax && socket.writableLength <= unreadBytesMax) socket.resume()
  }
  socket
    .setTimeout(idleMs, () => socket.destroy())
    .on('error', () => socket.destroy())
    .on('drain', readOn)
  const read = readFrames((bytes) => {
    pending += 1
    if (pending >= pipelineMax) socket.pause()
    void respond(bytes).then((reply) => {
      pending -= 1
      if (!reply) return void socket.destroy()
      if (socket.writable) socket.write(frame(reply))
      if (socket.writableLength > unreadBytesMax) socket.pause()
      else readOn()
    })
  })
  socket.on('data', read)
}

async function stop(
  udp: UdpSocket,
  tcp: Server,
  sockets: Iterable<Socket>,
  forwarder: Forwarder | undefined,
): Promise<void> {
  forwarder?.close()
  for (const socket of [...sockets]) socket.destroy()
  await Promise.all([close(udp), close(tcp)])
}

const close = (closable: { close(done: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => void closable.close(() => resolve()))

/** With port 0, a free UDP port may be in use for TCP. Then another one is tried. */
async function bindBoth(config: DnsServerConfig): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 0; ; attempt++) {
    const udp = await bindUdp(config.host, config.port)
    if (!udp.ok) throw udp.error
    const { port } = udp.value.address()
    const tcp = await bindTcp(config.host, port)
    if (tcp.ok) return { udp: udp.value, tcp: tcp.value, port }
    await close(udp.value)
    if (config.port !== 0 || attempt >= 10) throw tcp.error
  }
}

function bindUdp(host: string, port: number): Promise<Result<UdpSocket, Error>> {
  return new Promise((resolve) => {
    const socket = createSocket({
      type: 'udp4',
      // Peers are already addresses. The default look-up would send every answer through the thread pool.
      lookup: (address, _options, callback) => callback(null, address, 4),
    })
    socket.once('error', (error) => {
      socket.close()
      resolve({ ok: false, error })
    })
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.removeAllListeners('error')
      resolve({ ok: true, value: socket })
    })
  })
}

function bindTcp(host: string, port: number): Promise<Result<Server, Error>> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve({ ok: false, error }))
    server.listen({ port, host, exclusive: true }, () => {
      server.removeAllListeners('error')
      resolve({ ok: true, value: server })
    })
  })
}
