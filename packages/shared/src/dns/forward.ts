import { createSocket } from 'node:dgram'
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
  /** The upstream's answer with the id of the client; undefined if none arrived in time. */
  ask(query: Uint8Array, transport: 'udp' | 'tcp'): Promise<Uint8Array | undefined>
  close(): void
}

const tryMs = 2_000
const triesMax = 3
/** How many questions may be pending. Further questions fail at once. */
const waitingMax = 1_000

/**
 * Forwards questions to each server in turn until one answers. To forge an answer, an attacker must guess a random id,
 * the random port of a socket that only this question uses, and the case of each letter of the name. The client gets
 * its own id and letters back.
 */
export function createForwarder(
  deps: { readonly clock: Clock; readonly random: Random },
  servers: readonly DnsAddress[],
): Forwarder {
  /** The functions that end the pending questions. */
  const stops = new Set<() => void>()
  let closed = false
  let waiting = 0

  async function ask(query: Uint8Array, transport: 'udp' | 'tcp', server: DnsAddress): Promise<Uint8Array | undefined> {
    if (transport === 'tcp') return askTcp(deps.clock, query, server)
    const answer = await askUdp(deps, disguised(deps.random, query), server, stops)
    // A server that does not preserve letter case gets the question over TCP, where an attacker cannot forge an answer.
    return answer === 'other-case' ? askTcp(deps.clock, query, server) : answer
  }

  return {
    async ask(query, transport) {
      if (waiting >= waitingMax) return undefined
      waiting += 1
      try {
        for (const server of servers.slice(0, triesMax)) {
          if (closed) return undefined
          const answer = await ask(query, transport, server)
          if (answer) return restored(answer, query)
        }
        return undefined
      } finally {
        waiting -= 1
      }
    },
    close() {
      closed = true
      for (const stop of [...stops]) stop()
    },
  }
}

/** Sends one question on its own socket. The system selects a random port and drops packets of other peers. */
function askUdp(
  { clock }: { readonly clock: Clock },
  query: Uint8Array,
  server: DnsAddress,
  stops: Set<() => void>,
): Promise<Uint8Array | 'other-case' | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: 'udp4', lookup: (address, _options, callback) => callback(null, address, 4) })
    const timer = clock.after(tryMs, () => finish(undefined))
    const stop = () => finish(undefined)
    let isOver = false
    const finish = (answer: Uint8Array | 'other-case' | undefined) => {
      if (isOver) return
      isOver = true
      timer[Symbol.dispose]()
      stops.delete(stop)
      socket.close()
      resolve(answer)
    }
    stops.add(stop)
    // The upstream is unreachable, so the next server gets the question at once.
    socket.on('error', stop)
    socket.on('message', (bytes) => {
      if (bytes.length < 12 || idOf(bytes) !== idOf(query)) return
      if (repeats(query, bytes, same)) finish(bytes)
      else if (repeats(query, bytes, sameLetter)) finish('other-case')
    })
    socket.unref()
    socket.connect(server.port, server.host, () => {
      if (!isOver) socket.send(query)
    })
  })
}

/** The same question with a random id and a random case of each letter. */
function disguised(random: Random, query: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(query)
  copy.set(random.bytes(2), 0)
  const end = Math.min(endOfQuestion(query), copy.length)
  const coins = random.bytes(end)
  for (let index = 12; index < end - 4; index += 1) {
    const byte = copy[index] ?? 0
    if (isLetter(byte) && (coins[index] ?? 0) & 1) copy[index] = byte ^ caseBit
  }
  return copy
}

/**
 * An answer with the id and the question of the client. Later names point to the question or keep the letters of the
 * server.
 */
function restored(answer: Uint8Array, query: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(answer)
  copy.set(query.subarray(0, 2), 0)
  copy.set(query.subarray(12, Math.min(endOfQuestion(query), copy.length)), 12)
  return copy
}

const idOf = (bytes: Uint8Array): number => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)

const caseBit = 0x20
const isLetter = (byte: number): boolean => (byte | caseBit) >= 0x61 && (byte | caseBit) <= 0x7a
const same = (a: number, b: number): boolean => a === b
const sameLetter = (a: number, b: number): boolean => a === b || (isLetter(a) && (a ^ b) === caseBit)

/** The end of the only question. A label has at most 63 bytes, so its length byte is never the code of a letter. */
function endOfQuestion(query: Uint8Array): number {
  let end = 12
  while (end < query.length && query[end] !== 0) end += (query[end] ?? 0) + 1
  return end + 5
}

/** An answer must repeat the bytes of the question, which a forged answer can only guess. */
function repeats(question: Uint8Array, answer: Uint8Array, isSame: (a: number, b: number) => boolean): boolean {
  const end = endOfQuestion(question)
  for (let index = 12; index < end; index++) if (!isSame(question[index] ?? -1, answer[index] ?? -1)) return false
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
    const isOurs = (bytes: Uint8Array) => idOf(bytes) === idOf(query) && repeats(query, bytes, sameLetter)
    socket.on(
      'data',
      readFrames((bytes) => finish(isOurs(bytes) ? bytes : undefined)),
    )
    socket.on('error', () => finish(undefined)).on('close', () => finish(undefined))
  })
}

/** True if the upstream is the forwarding server itself. */
export function refusesItself(upstream: DnsAddress, host: string, port: number): boolean {
  if (upstream.port !== port) return false
  if (upstream.host === host) return true
  if (host !== '0.0.0.0') return false
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return (
    upstream.host.startsWith('127.') || upstream.host === '0.0.0.0' || own.some((one) => one.address === upstream.host)
  )
}

/** Parses `host` or `host:port`; the host must be an IPv4 address. Undefined for other texts. */
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

/** The name servers that this host uses. Empty if there is no resolv.conf. */
export const systemServers = async (): Promise<readonly DnsAddress[]> =>
  nameserversOf(await readFile('/etc/resolv.conf', 'utf8').catch(() => ''))
