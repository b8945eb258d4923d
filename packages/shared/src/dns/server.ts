import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { type AnswerContext, answer, type DnsTable, plain } from './answer.ts'
import { rcodes } from './codec.ts'
import { createForwarder, type DnsAddress, refusesItself } from './forward.ts'
import { createConnections, type Respond, serveDatagrams } from './serve.ts'

export interface DnsServerDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly observer?: DnsObserver
}

/** Measures the answers of a server. An answer takes microseconds, so what this costs is a part of it. */
export interface DnsObserver {
  /**
   * When the question came, if its answer is to be measured. Only a sample is: reading a clock twice and observing
   * costs about as much as the lookup itself.
   */
  sampledMs(): number | undefined
  /** A question about the own domain is answered. `sinceMs`: from `sampledMs`. */
  answered(reply: Uint8Array, sinceMs: number | undefined): void
  /** A forwarded question is answered, by an upstream or, if none has answered, by us. */
  forwarded(reply: Uint8Array, sinceMs: number): void
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
 * Answers over UDP and TCP on one address. Rejects if the address is taken, or if an upstream is this server itself.
 */
export async function startDnsServer(deps: DnsServerDeps, config: DnsServerConfig): Promise<DnsServer> {
  const { observer } = deps
  const { udp, tcp, port } = await bindBoth(config)
  const itself = config.forward?.servers.find((server) => refusesItself(server, config.host, port))
  if (itself) {
    await Promise.all([close(udp), close(tcp)])
    throw new Error(`the DNS upstream ${itself.host}:${itself.port} is this server itself`)
  }
  const forwarder = config.forward && createForwarder(deps, config.forward.servers)
  async function respond(bytes: Uint8Array, context: AnswerContext): Promise<Uint8Array | undefined> {
    const sinceMs = observer?.sampledMs()
    const answered = answer(bytes, config.table(), context)
    if (answered.type === 'drop') return undefined
    // Own names are answered at once; only forwarding takes time.
    if (answered.type === 'answer' || !forwarder || !config.allowForward(context.clientAddress)) {
      const own = answered.type === 'answer' ? answered.bytes : plain(answered.query, rcodes.refused, context).bytes
      observer?.answered(own, sinceMs)
      return own
    }
    const askedMs = deps.clock.monotonicMs()
    const relayed = await forwarder.ask(bytes, context.transport)
    const reply = relayed ?? plain(answered.query, rcodes.servFail, context).bytes
    observer?.forwarded(reply, askedMs)
    return reply
  }
  /** No question ends the process: if answering it throws, it is dropped. */
  const respondOver =
    (transport: AnswerContext['transport']): Respond =>
    (bytes, clientAddress) =>
      respond(bytes, { clientAddress, transport, recursionAvailable: forwarder !== undefined }).catch(
        (thrown: unknown) => {
          deps.log.error({ err: thrown }, 'a DNS question could not be answered')
          return undefined
        },
      )
  const datagrams = serveDatagrams(udp, respondOver('udp'), deps.log)
  const connections = createConnections(deps.clock, respondOver('tcp'))
  tcp.on('connection', connections.accept)
  return {
    host: config.host,
    port,
    async [Symbol.asyncDispose]() {
      datagrams[Symbol.dispose]()
      forwarder?.close()
      connections.closeAll()
      await Promise.all([close(udp), close(tcp)])
    },
  }
}

const close = (closable: { close(done: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => void closable.close(() => resolve()))

const bindTriesMax = 10

/** With port 0, a free UDP port may be in use for TCP. Then another one is tried. */
async function bindBoth(config: DnsServerConfig): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let tries = 1; ; tries += 1) {
    const udp = await bindUdp(config.host, config.port)
    const { port } = udp.address()
    try {
      return { udp, tcp: await bindTcp(config.host, port), port }
    } catch (thrown) {
      await close(udp)
      if (config.port !== 0 || tries >= bindTriesMax) throw thrown
    }
  }
}

async function bindUdp(host: string, port: number): Promise<UdpSocket> {
  const socket = createSocket({
    type: 'udp4',
    // Peers are already addresses. The default look-up would send every answer through the thread pool.
    lookup: (address, _options, callback) => callback(null, address, 4),
  })
  // With this look-up the socket may be bound before `bind` returns.
  const bound = once(socket, 'listening')
  socket.bind({ port, address: host })
  try {
    await bound
    return socket
  } catch (thrown) {
    socket.close()
    throw thrown
  }
}

/** If this queue of the system is full, a client takes a connection for open that the server has never accepted. */
const backlog = 4_096

async function bindTcp(host: string, port: number): Promise<Server> {
  const server = createServer()
  server.listen({ port, host, backlog })
  await once(server, 'listening')
  return server
}
