import { networkInterfaces } from 'node:os'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { isWebSocketAddress, readWebSocketAddress } from '@zonemesh/shared/transport/websocket-address.ts'
import { type Client, requireFields } from './client.ts'
import { CommandError } from './command.ts'

/** Whom the string is for: a zone, a zone over WebSocket, or a proxy. */
export type JoinKind = 'sync' | 'websocket' | 'proxies'

/** What a plane answers to `GET /_join`. */
export interface JoinFacts {
  readonly pin: string
  /** The address on which it listens. Older planes do not report it. */
  readonly host?: string
  readonly syncPort?: number
  readonly webSocketPort?: number
  readonly proxyPort?: number
}

interface Hosts {
  readonly hosts: readonly string[]
  /** Why the string does not work from other machines, and what to do. */
  readonly remark: string | undefined
}

/**
 * The hosts under which others reach a plane that this client reaches as `host`. If that is a loopback address, the
 * plane runs here, so the addresses of this machine come first.
 */
export function hostsOf(host: string, boundTo: string | undefined, plane: string, machine: readonly string[]): Hosts {
  if (!isLoopback(bare(host))) return { hosts: [host], remark: undefined }
  const here = 'this string works on this machine only: '
  if (boundTo === undefined)
    return { hosts: [host], remark: `${here}${host} is a loopback address; give --join-address` }
  if (isLoopback(boundTo))
    return {
      hosts: [host],
      remark: `${here}the ${plane} listens on ${boundTo}; start it with --host 0.0.0.0 (or give --join-address)`,
    }
  if (machine.length === 0)
    return { hosts: [host], remark: `${here}this machine has no other address; give --join-address` }
  return { hosts: [...machine.map(bracketed), host], remark: undefined }
}

/** The addresses of this machine that other machines may reach, those of IPv4 first. */
export function machineAddresses(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const external = Object.values(interfaces).flatMap((list) => (list ?? []).filter(({ internal }) => !internal))
  const of = (family: string) => external.filter((one) => one.family === family).map(({ address }) => address)
  // A link-local address works only together with the name of an interface.
  return [...new Set([...of('IPv4'), ...of('IPv6').filter((address) => !address.startsWith('fe80:'))])]
}

/**
 * Makes the join string: addresses, token and the authority to trust in one string, to copy to another machine. Prints
 * which addresses it holds.
 */
export async function joinString(
  client: Client,
  kind: JoinKind,
  given: readonly string[],
  token: string,
  note: (line: string) => void,
): Promise<string> {
  const reply = await client.need('GET', '/_join')
  requireFields(client, reply, ['pin'])
  // The plane answers with its own type.
  const facts = reply.json as JoinFacts
  const { hosts, remark } = given.length > 0 ? givenHosts(given) : ownHosts(client, kind, facts)
  const [address = '', ...otherAddresses] = hosts.map((host) => joinUrl(kind, host))
  note(
    `the join string holds ${otherAddresses.length > 0 ? 'the addresses ' : ''}${[address, ...otherAddresses].join(', ')}`,
  )
  if (remark !== undefined) note(remark)
  return encodeJoin({ address, otherAddresses, token, pin: facts.pin })
}

function givenHosts(hosts: readonly string[]): Hosts {
  const isLocal = hosts.every((one) => isLoopback(bare(URL.parse(withScheme(one, 'https'))?.hostname ?? '')))
  return {
    hosts,
    remark: isLocal ? `this string works on this machine only: ${hosts.join(', ')} is a loopback address` : undefined,
  }
}

function ownHosts(client: Client, kind: JoinKind, facts: JoinFacts): Hosts {
  const port = { sync: facts.syncPort, websocket: facts.webSocketPort, proxies: facts.proxyPort }[kind]
  const plane = kind === 'proxies' ? 'zone' : 'global'
  if (port === undefined) {
    const where = `a ${plane} control plane (${kind === 'proxies' ? 'proxies' : 'zones'} join it)`
    throw new CommandError(
      `${client.address} is not ${where}; give ${kind === 'proxies' ? '--zone-address, or ' : ''}--address of one, or --join-address HOST:PORT`,
      2,
    )
  }
  const found = hostsOf(new URL(client.address).hostname, facts.host, plane, machineAddresses())
  return { ...found, hosts: found.hosts.map((host) => `${host}:${port}`) }
}

/** An address for a join string, from what `--join-address` gives. */
export function joinUrl(kind: JoinKind, host: string): string {
  const full = withScheme(host, kind === 'websocket' ? 'wss' : 'https')
  if (isWebSocketAddress(full)) {
    const route = readWebSocketAddress(full)
    if (!route.ok) throw new CommandError(`--join-address: ${route.error}`, 2)
    return full
  }
  if (kind === 'websocket')
    throw new CommandError(`--join-address: expected wss:// with --websocket, found "${full}"`, 2)
  // Only the port for proxies has a default.
  const form = kind === 'proxies' ? /^https?:\/\/[^/\s]+\/?$/ : /^https?:\/\/[^/\s]+:\d+\/?$/
  if (!URL.canParse(full) || !form.test(full))
    throw new CommandError(`--join-address: expected HOST:PORT, found "${host}"`, 2)
  return full
}

const withScheme = (host: string, scheme: string): string => (host.includes('://') ? host : `${scheme}://${host}`)
const bare = (host: string): string => host.replace(/^\[|\]$/g, '')
const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address)
