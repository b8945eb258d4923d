import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { frame, readFrames } from './framing.ts'
import { disguised, matchOf, restored } from './question.ts'

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
  /** The functions that end the pending exchanges. */
  const stops = new Set<() => void>()
  let closed = false
  let waiting = 0

  async function ask(query: Uint8Array, transport: 'udp' | 'tcp', server: DnsAddress): Promise<Uint8Array | undefined> {
    if (transport === 'tcp') return exchange(askTcp, query, server)
    const answer = await exchange(askUdp, disguised(deps.random, query), server)
    // A server that does not preserve letter case gets the question over TCP, where an attacker cannot forge an answer.
    return answer === 'other-case' ? exchange(askTcp, query, server) : answer
  }

  /** Sends one question. Resolves to undefined without an answer in time. */
  async function exchange<Answer>(send: Send<Answer>, query: Uint8Array, server: DnsAddress) {
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>()
    const stop = () => resolve(undefined)
    using _limit = deps.clock.after(tryMs, stop)
    const close = send(query, server, resolve)
    stops.add(stop)
    try {
      return await promise
    } finally {
      stops.delete(stop)
      close()
    }
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
      for (const stop of stops) stop()
    },
  }
}

/** Sends one question and calls `settle` with each result: undefined if there will be no answer. Returns a close. */
type Send<Answer> = (query: Uint8Array, server: DnsAddress, settle: (answer: Answer | undefined) => void) => () => void

/** Uses its own socket. The system selects a random port and drops packets of other peers. */
const askUdp: Send<Uint8Array | 'other-case'> = (query, server, settle) => {
  const socket = createSocket({ type: 'udp4', lookup: (address, _options, callback) => callback(null, address, 4) })
  let closed = false
  socket.on('error', () => settle(undefined))
  socket.on('message', (bytes) => {
    const match = matchOf(query, bytes)
    if (match) settle(match === 'exact' ? bytes : match)
  })
  socket.connect(server.port, server.host, () => {
    if (!closed) socket.send(query)
  })
  return () => {
    closed = true
    socket.close()
  }
}

const askTcp: Send<Uint8Array> = (query, server, settle) => {
  const socket = connect(server.port, server.host, () => void socket.write(frame(query)))
  socket.on(
    'data',
    readFrames((bytes) => settle(matchOf(query, bytes) ? bytes : undefined)),
  )
  socket.on('error', () => settle(undefined)).on('close', () => settle(undefined))
  return () => void socket.destroy()
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
