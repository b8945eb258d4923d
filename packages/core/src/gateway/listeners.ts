import { byCodeUnit, canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import { statName } from '../edge/addresses.ts'
import type { Meshes } from '../edge/meshes.ts'
import { because, becauseOfAll } from '../kinds/because.ts'
import type { MeshName } from '../kinds/identities.ts'
import { serviceOf } from '../kinds/tags.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { CertificateModel, ChainModel, ServedListener } from '../model/model.ts'
import { defaultTimeouts } from '../policies/timeout/timeouts.ts'
import { NoteError } from '../view/problem.ts'
import type { Units } from '../view/units.ts'
import type { GatewayCertificates } from './certificates.ts'
import type { Destination } from './route-parts.ts'
import { portOf } from './routes.ts'
import type { GatewayPort, GatewaySelection, PortHost, PortPlace } from './select.ts'
import type { GatewayTcp } from './tcp.ts'

type Contribution = readonly [source: string, hash: string]

/** The content of one Envoy listener without its address. All replicas of a gateway share it. */
export interface PortPlan {
  readonly name: string
  /** Empty if the listener is not served. */
  readonly chains: readonly ChainModel[]
  readonly serves: readonly ServedListener[]
  readonly certificates: readonly CertificateModel[]
  /** The hostnames of the route tables that the chains use; undefined for the table of an HTTP port. */
  readonly tables: readonly (string | undefined)[]
  /** The destinations of TCP connections. */
  readonly destinations: readonly Destination[]
  readonly contributions: ReadonlyMap<string, string>
}

interface Chain {
  readonly model: ChainModel
  readonly certificates: readonly CertificateModel[]
  readonly tables: readonly (string | undefined)[]
  readonly destinations: readonly Destination[]
  readonly contributions: readonly Contribution[]
}

const nothing = { certificates: [], tables: [], destinations: [], contributions: [] }

/** The port of a chain, and the other ports of its gateway. */
interface Place {
  readonly gateway: string
  readonly mesh: MeshName
  readonly port: GatewayPort
  readonly ports: readonly GatewayPort[]
  readonly statPrefix: string
}

/**
 * The filter chains of a gateway's ports. HTTP and TCP ports have one chain, HTTPS and TLS ports have one per hostname.
 * If a chain cannot be built, or if Envoy refused it, only this chain is left out and reported as a problem of its
 * gateway.
 */
export function createGatewayListeners(
  units: Units,
  meshes: Meshes,
  selection: GatewaySelection,
  tcp: GatewayTcp,
  certificates: GatewayCertificates,
  exclusions: Exclusions,
) {
  /** The content of a chain whose connections follow TCP routes. */
  function tcpContent({ gateway, mesh, port, statPrefix }: Place, hosts: readonly PortHost[]) {
    const {
      chain,
      because: routes,
      ...rest
    } = tcp.forwarding(
      mesh,
      hosts.map((host) => host.tags),
    )
    const decided = { ...rest, because: because(gateway, ...routes) }
    if (chain) return { ...decided, content: { type: 'tcp' as const, statPrefix, ...chain } }
    units.note(gateway, `${titleOf(port, hosts[0])}: no route leads anywhere, so its connections are closed`)
    return { ...decided, content: { type: 'close' as const } }
  }

  const httpContent = (rds: string, statPrefix: string) => ({
    type: 'http' as const,
    statPrefix,
    routes: { rds },
    role: 'gateway' as const,
    streamIdleMs: defaultTimeouts.gateway.streamIdleMs,
  })

  /** A chain for clients of all meshes, who must present a certificate. Throws if the mesh has no identity. */
  function crossMeshChain({ gateway, mesh, port }: Place, content: ChainModel['content']): ChainModel {
    const title = titleOf(port, undefined)
    const facts = meshes.mesh(mesh)
    if (facts.mtls === 'none') throw new Error(`${title}: crossMesh needs mutual TLS in mesh "${mesh}"`)
    // In a mesh named "all", the secret of the mesh's own authority would have the name of the secret of all
    // authorities.
    if (mesh === 'all') throw new Error(`${title}: crossMesh is not served in a mesh that is named "all"`)
    const match = { transport: 'tls' as const, alpn: ['kuma'] }
    return { match, mtls: mesh, anyMesh: true, content, because: because(gateway, ...facts.because) }
  }

  /**
   * The chain of one hostname, selected by the server name that the client sends (SNI). Throws if it cannot be built.
   */
  function tlsChain(place: Place, host: PortHost): Chain {
    const { gateway, mesh, port, ports, statPrefix } = place
    const { hostname } = host
    const title = titleOf(port, host)
    const source = `${gateway}/${port.protocol}:${port.port}:${hostname}`
    // If Envoy refuses a listener, it keeps the previous version. Leaving out the only chain would not improve on that.
    const blamed: readonly Contribution[] = port.hosts.length > 1 ? [[source, hashOf(host)]] : []
    if (blamed.some(([, hash]) => exclusions.has(source, hash))) {
      throw new NoteError(`${title}: left out: Envoy refused the listener with it`)
    }
    const shown =
      host.tls === 'terminate'
        ? certificates({
            mesh,
            certificates: host.certificates,
            title,
            source,
            gateway,
            label: labelOf(ports, port, host),
          })
        : []
    const certified = becauseOfAll(shown)
    const alpn = port.protocol === 'HTTPS' ? ['h2', 'http/1.1'] : []
    const model = {
      match: { transport: 'tls' as const, ...(hostname === '*' ? {} : { serverNames: [hostname] }) },
      ...(shown.length > 0 ? { tls: { certificates: shown.map((one) => one.name), alpn } } : {}),
    }
    if (port.protocol === 'HTTPS') {
      const content = httpContent(`${port.name}:${hostname}`, statPrefix)
      return {
        ...nothing,
        model: { ...model, content, because: because(gateway, ...certified) },
        certificates: shown,
        tables: [hostname],
        contributions: blamed,
      }
    }
    const { content, contributions, destinations, because: decided } = tcpContent(place, [host])
    return {
      ...nothing,
      model: { ...model, content, because: because(...decided, ...certified) },
      certificates: shown,
      destinations,
      contributions: [...blamed, ...contributions],
    }
  }

  const chain = units.family(
    'gateway chain',
    ({ mesh, gateway, own, port: number }: PortPlace, hostname: string): Chain | undefined => {
      const ports = selection.ports(gateway, own)
      const port = portOf(ports, number)
      const host = port?.hosts.find((one) => one.hostname === hostname)
      if (!port || !host) return undefined
      const place = { gateway, mesh, port, ports, statPrefix: statName(serviceOf(own)) }
      switch (port.protocol) {
        case 'HTTP': {
          const content = httpContent(`${port.name}:*`, place.statPrefix)
          const model = port.crossMesh ? crossMeshChain(place, content) : { content, because: [gateway] }
          return { ...nothing, model, tables: [undefined] }
        }
        case 'TCP': {
          const { content, because, ...rest } = tcpContent(place, port.hosts)
          return { ...nothing, ...rest, model: { content, because } }
        }
        case 'HTTPS':
        case 'TLS':
          return tlsChain(place, host)
      }
    },
  )

  return units.family('gateway port', (place: PortPlace): PortPlan => {
    const { gateway, own, port } = place
    const found = portOf(selection.ports(gateway, own), port)
    const isShared = found?.protocol === 'HTTP' || found?.protocol === 'TCP'
    const hosts = [...(found?.hosts ?? [])].sort((a, b) => compareServerNames(a.hostname, b.hostname))
    // One chain serves all listeners of such a port. It is the same for each of their hostnames.
    const chains = (isShared ? hosts.slice(0, 1) : hosts).flatMap((host) => {
      const made = units.attempt(gateway, () => chain(place, host.hostname))
      return made ? [made] : []
    })
    return {
      name: found?.name ?? '',
      chains: chains.map((one) => one.model),
      serves: (found?.hosts ?? []).map((host) => ({ hostname: host.hostname, tags: host.tags.tags })),
      certificates: chains.flatMap((one) => one.certificates),
      tables: chains.flatMap((one) => one.tables),
      destinations: chains.flatMap((one) => one.destinations),
      contributions: new Map(chains.flatMap((one) => one.contributions).sort(([a], [b]) => byCodeUnit(a, b))),
    }
  })
}
export type GatewayListeners = ReturnType<typeof createGatewayListeners>

/** The name of a listener in messages: `listener TLS:8443:foo.example.com`. */
const titleOf = ({ protocol, port }: GatewayPort, host: PortHost | undefined): string =>
  `listener ${protocol}:${port}${host && host.hostname !== '*' ? `:${host.hostname}` : ''}`

/** The hash of the part of a chain that its gateway determines. */
const hashOf = ({ tags, ...host }: PortHost): string => shortHash(canonicalJson({ ...host, tagsText: tags.text }))

const isInline = (host: PortHost): boolean =>
  host.tls === 'terminate' && host.certificates.some((one) => one.secret === undefined)

/**
 * The hostname, which Kuma uses to name inline certificates. The port is added if one hostname has inline certificates
 * on several ports.
 */
function labelOf(ports: readonly GatewayPort[], { port }: GatewayPort, { hostname }: PortHost): string {
  const elsewhere = ports.some(
    (other) => other.port !== port && other.hosts.some((host) => host.hostname === hostname && isInline(host)),
  )
  return elsewhere ? `${hostname}:${port}` : hostname
}

/**
 * The order of filter chains, for readable diffs: exact names, then wildcards with more labels, then any name. Envoy
 * ignores it.
 */
function compareServerNames(a: string, b: string): number {
  const rank = (name: string) => (name === '*' ? 0 : name.startsWith('*.') ? name.split('.').length : 255)
  return rank(b) - rank(a) || byCodeUnit(a, b)
}
