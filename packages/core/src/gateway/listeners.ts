import { byCodeUnit, canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import type { Exclusions } from '../compile/exclusions.ts'
import type { CertificateModel, ChainModel } from '../compile/model.ts'
import { statName } from '../edge/addresses.ts'
import { serviceTag } from '../kinds/common.ts'
import { parseTags } from '../match/tags.ts'
import { defaultTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { GatewayCertificates } from './certificates.ts'
import { type Destination, portOf } from './routes.ts'
import type { GatewayPort, GatewaySelection, PortHost } from './select.ts'
import type { GatewayTcp } from './tcp.ts'

type Contribution = readonly [source: string, hash: string]

/** What one listener of Envoy consists of, without its address: replicas of a gateway share it. */
export interface PortPlan {
  readonly name: string
  /** None: there is no such listener. */
  readonly chains: readonly ChainModel[]
  readonly certificates: readonly CertificateModel[]
  /** By hostname, the route tables that the chains use; the one of an HTTP port has none. */
  readonly tables: readonly string[]
  /** Where TCP connections lead to. */
  readonly destinations: readonly Destination[]
  readonly contributions: ReadonlyMap<string, string>
}

interface Chain {
  readonly model: ChainModel
  readonly certificates: readonly CertificateModel[]
  readonly tables: readonly string[]
  readonly destinations: readonly Destination[]
  readonly contributions: readonly Contribution[]
}

/**
 * The filter chains of a gateway's ports: HTTP and TCP have one, HTTPS and TLS one for each hostname. A chain that cannot
 * be made, or that Envoy refused, is left out alone and named as a problem of its gateway.
 */
export function createGatewayListeners(
  units: Units,
  selection: GatewaySelection,
  tcp: GatewayTcp,
  certificates: GatewayCertificates,
  exclusions: Exclusions,
) {
  function tcpChain(gateway: string, mesh: string, port: GatewayPort, hosts: readonly PortHost[], statPrefix: string) {
    const { chain, ...rest } = tcp.forwarding(
      mesh,
      hosts.map((host) => host.tagsText),
    )
    if (chain) return { ...rest, content: { type: 'tcp' as const, statPrefix, ...chain } }
    units.problem(gateway, `${titleOf(port, hosts[0])}: no route leads anywhere, so its connections are closed`)
    return { ...rest, content: { type: 'close' as const } }
  }

  const chain = units.family(
    'gateway chain',
    (mesh: string, gateway: string, own: string, port: string, hostname: string): Chain | undefined => {
      const found = portOf(selection.ports(gateway, own), port)
      const host = found?.hosts.find((one) => one.hostname === hostname)
      if (!found || !host) return undefined
      const { name, protocol, hosts } = found
      const statPrefix = statName(parseTags(own)[serviceTag] ?? '')
      const http = (rds: string) => ({
        type: 'http' as const,
        statPrefix,
        routes: { rds },
        role: 'gateway' as const,
        streamIdleMs: defaultTimeouts.gateway.streamIdleMs,
      })
      const nothing = { certificates: [], tables: [], destinations: [], contributions: [] }
      if (protocol === 'HTTP') return { ...nothing, model: { content: http(`${name}:*`) }, tables: [''] }
      if (protocol === 'TCP') {
        const { content, ...rest } = tcpChain(gateway, mesh, found, hosts, statPrefix)
        return { ...nothing, ...rest, model: { content } }
      }

      const source = `${gateway}/${protocol}:${port}:${hostname}`
      const title = titleOf(found, host)
      const isAlone = hosts.length === 1
      if (!isAlone && exclusions.has(source, hashOf(host))) {
        throw new Error(`${title}: left out: Envoy refused the listener with it`)
      }
      const label = labelOf(selection.ports(gateway, own), found, host)
      const shown =
        host.tls === 'terminate' ? certificates({ mesh, certificates: host.certificates, title, source, label }) : []
      const match = { transport: 'tls' as const, ...(hostname === '*' ? {} : { serverNames: [hostname] }) }
      const alpn = protocol === 'HTTPS' ? ['h2', 'http/1.1'] : []
      const tls = host.tls === 'terminate' ? { tls: { certificates: shown.map((one) => one.name), alpn } } : {}
      // Of a listener with one chain Envoy keeps what it had before; there is nothing to be gained by leaving it out.
      const blamed: readonly Contribution[] = isAlone ? [] : [[source, hashOf(host)]]
      if (protocol === 'HTTPS') {
        return {
          ...nothing,
          model: { match, ...tls, content: http(`${name}:${hostname}`) },
          certificates: shown,
          tables: [hostname],
          contributions: blamed,
        }
      }
      const { content, contributions, destinations } = tcpChain(gateway, mesh, found, [host], statPrefix)
      return {
        ...nothing,
        model: { match, ...tls, content },
        certificates: shown,
        destinations,
        contributions: [...blamed, ...contributions],
      }
    },
  )

  return units.family('gateway port', (mesh: string, gateway: string, own: string, port: string): PortPlan => {
    const found = portOf(selection.ports(gateway, own), port)
    const isShared = found?.protocol === 'HTTP' || found?.protocol === 'TCP'
    const hosts = [...(found?.hosts ?? [])].sort((a, b) => compareServerNames(a.hostname, b.hostname))
    // One chain is for all listeners of such a port, whichever it is asked for.
    const chains = (isShared ? hosts.slice(0, 1) : hosts).flatMap((host) => {
      const made = units.attempt(gateway, () => chain(mesh, gateway, own, port, host.hostname))
      return made ? [made] : []
    })
    return {
      name: found?.name ?? '',
      chains: chains.map((one) => one.model),
      certificates: chains.flatMap((one) => one.certificates),
      tables: chains.flatMap((one) => one.tables),
      destinations: chains.flatMap((one) => one.destinations),
      contributions: new Map(chains.flatMap((one) => one.contributions).sort(([a], [b]) => byCodeUnit(a, b))),
    }
  })
}
export type GatewayListeners = ReturnType<typeof createGatewayListeners>

/** As people write it: `listener TLS:8443:foo.example.com`. */
const titleOf = ({ protocol, port }: GatewayPort, host: PortHost | undefined): string =>
  `listener ${protocol}:${port}${host && host.hostname !== '*' ? `:${host.hostname}` : ''}`

/** What of a chain comes from its gateway. */
const hashOf = (host: PortHost): string => shortHash(canonicalJson(host))

const isInline = (host: PortHost): boolean =>
  host.tls === 'terminate' && host.certificates.some((one) => one.secret === undefined)

/** The hostname, as Kuma names inline certificates; with the port where one hostname has some on several ports. */
function labelOf(ports: readonly GatewayPort[], { port }: GatewayPort, { hostname }: PortHost): string {
  const elsewhere = ports.some(
    (other) => other.port !== port && other.hosts.some((host) => host.hostname === hostname && isInline(host)),
  )
  return elsewhere ? `${hostname}:${port}` : hostname
}

/** The order of filter chains, for people who compare: exact names, wildcards of more labels first, any name last. */
function compareServerNames(a: string, b: string): number {
  const rank = (name: string) => (name === '*' ? 0 : name.startsWith('*.') ? name.split('.').length : 255)
  return rank(b) - rank(a) || byCodeUnit(a, b)
}
