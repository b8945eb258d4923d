import { createSocket, type Socket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { frame, readFrames } from './framing.ts'

export interface DnsAddress {
  readonly host: string
  readonly port: number
}

export interface Forwarder {
  /** The upstream's answer with the asker's id, or undefined if none came in time. */
  ask(query: Uint8Array, transport: 'udp' | 'tcp'): Promise<Uint8Array | undefined>
  close(): void
}

const tryMs = 2_000
const triesMax = 3
/** Questions under way; above it the newest fail at once. */
const waitingMax = 1_000

/** Sends questions on, to each server in turn until one answers. Ids are replaced by random ones of our own. */
export function createForwarder(
  deps: { readonly clock: Clock; readonly random: Random },
  servers: readonly DnsAddress[],
): Forwarder {
  const waiting = new Map<
    number,
    { readonly server: DnsAddress; readonly question: Uint8Array; done(answer: Uint8Array): void }
  >()
  let socket: Socket | undefined
  let closed = false
  const open = (): Socket => {
    if (socket) return socket
    socket = createSocket({ type: 'udp4', lookup: (address, _options, callback) => callback(null, address, 4) })
    socket.on('error', () => {}) // an unreachable upstream shows as a timeout
    socket.on('message', (bytes, peer) => {
      const entry = bytes.length >= 12 ? waiting.get(bytes.readUInt16BE(0)) : undefined
      const expected = entry && entry.server.host === peer.address && entry.server.port === peer.port
      if (expected && repeats(entry.question, bytes)) entry.done(bytes)
    })
    socket.unref()
    return socket
  }
  const askUdp = (query: Uint8Array, server: DnsAddress): Promise<Uint8Array | undefined> =>
    new Promise((resolve) => {
      const id = freeId(deps.random, waiting)
      const timer = deps.clock.after(tryMs, () => finish(undefined))
      const finish = (answer: Uint8Array | undefined) => {
        timer[Symbol.dispose]()
        waiting.delete(id)
        resolve(answer)
      }
      waiting.set(id, { server, question: query, done: finish })
      open().send(withId(query, id), server.port, server.host)
    })
  return {
    async ask(query, transport) {
      if (waiting.size >= waitingMax) return undefined
      for (const server of servers.slice(0, triesMax)) {
        if (closed) return undefined
        const answer = await (transport === 'tcp' ? askTcp(deps.clock, query, server) : askUdp(query, server))
        if (answer) return withId(answer, idOf(query))
      }
      return undefined
    },
    close() {
      closed = true
      socket?.close()
    },
  }
}

const idOf = (bytes: Uint8Array): number => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)

function withId(bytes: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[0] = id >> 8
  copy[1] = id & 255
  return copy
}

function freeId(random: Random, taken: ReadonlyMap<number, unknown>): number {
  for (;;) {
    const id = idOf(random.bytes(2))
    if (!taken.has(id)) return id
  }
}

/** The answer must repeat the question's bytes, letter case included: a guess from elsewhere hardly does. */
function repeats(question: Uint8Array, answer: Uint8Array): boolean {
  let end = 12
  while (end < question.length && question[end] !== 0) end += (question[end] ?? 0) + 1
  end += 5
  for (let index = 12; index < end; index++) if (question[index] !== answer[index]) return false
  return true
}

function askTcp(clock: Clock, query: Uint8Array, server: DnsAddress): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = connect(server.port, server.host, () => void socket.write(frame(query)))
    const timer = clock.after(tryMs, () => finish(undefined))
    const finish = (answer: Uint8Array | undefined) => {
      timer[Symbol.dispose]()
      socket.destroy()
      resolve(answer)
    }
    socket.on('data', readFrames(finish))
    socket.on('error', () => finish(undefined)).on('close', () => finish(undefined))
  })
}

/** True if an upstream is the server that would forward to it. */
export function refusesItself(upstream: DnsAddress, host: string, port: number): boolean {
  if (upstream.port !== port) return false
  if (upstream.host === host) return true
  if (host !== '0.0.0.0') return false
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return (
    upstream.host.startsWith('127.') || upstream.host === '0.0.0.0' || own.some((one) => one.address === upstream.host)
  )
}

/** Reads `host` or `host:port`; the host must be an IPv4 address. Undefined if it is neither. */
export function parseDnsAddress(text: string): DnsAddress | undefined {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text.trim())
  const port = Number(match?.[2] ?? 53)
  return match?.[1] !== undefined && isIPv4(match[1]) && port > 0 && port < 65_536
    ? { host: match[1], port }
    : undefined
}

/** The IPv4 name servers of a resolv.conf. */
export const nameserversOf = (resolvConf: string): readonly DnsAddress[] =>
  resolvConf
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)\s*$/.exec(line)?.[1])
    .map((host) => (host === undefined ? undefined : parseDnsAddress(host)))
    .filter((server) => server !== undefined)

/** The name servers that this host uses. Empty where there is no resolv.conf. */
export const systemServers = async (): Promise<readonly DnsAddress[]> =>
  nameserversOf(await readFile('/etc/resolv.conf', 'utf8').catch(() => ''))
