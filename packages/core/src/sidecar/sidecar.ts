import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Endpoints } from '../edge/endpoints.ts'
import { identityTags } from '../edge/identity.ts'
import { inZone, type Meshes } from '../edge/meshes.ts'
import { because } from '../kinds/because.ts'
import { isIp, serviceTag } from '../kinds/common.ts'
import { hostOfAddress, placeOf } from '../kinds/cross-mesh.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneServices } from '../kinds/dataplane-spec.ts'
import { type MeshName, meshName, type ServiceName, serviceName } from '../kinds/identities.ts'
import { virtualAddress } from '../kinds/internal.ts'
import { ranges } from '../kinds/ranges.ts'
import type { TagSet } from '../kinds/tags.ts'
import type { Connections, Profile } from '../match/connections.ts'
import type { AssignmentModel, ClusterModel, ListenerModel, ProxyModel, SocketAddress } from '../model/model.ts'
import { loopbackAddressOf } from '../names/loopback.ts'
import { servicePorts } from '../names/ports.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { createHosts, createReachables, type Reachable } from './hosts.ts'
import { createInbounds } from './inbounds.ts'
import { createOutbounds } from './outbounds.ts'

interface Plan {
  readonly inbounds: number
  readonly outbounds: readonly (SocketAddress & { readonly destination: TagSet })[]
  /** Undefined if the proxy may reach all services. */
  readonly reachable: Reachable | undefined
  readonly sources: readonly TagSet[]
  readonly services: readonly string[]
}

/** A service with a virtual address, and the row (`source`) that assigns it. */
interface NumberedService {
  readonly service: ServiceName
  readonly number: number
  readonly source: string
}

const nothing: ProxyModel = {
  because: [],
  clusters: [],
  assignments: [],
  listeners: [],
  routeTables: [],
  runtimeLayer: false,
}

/** Sidecars of services and of delegated gateways. The latter have no inbounds. */
export function createSidecars(
  units: Units,
  view: View,
  meshes: Meshes,
  endpoints: Endpoints,
  connections: Connections,
) {
  const inbound = createInbounds(units, view, meshes)
  const hosts = createHosts(units, view, meshes)
  const outbounds = createOutbounds(units, view, meshes, endpoints, connections)

  const reachables = createReachables()
  const noPlan: Plan = { inbounds: 0, outbounds: [], reachable: reachables([]), sources: [], services: [] }

  const plan = units.family('sidecar plan', (proxy: string): Plan => {
    const row = view.row(dataplane, proxy)
    if (!row) return noPlan
    return units.attempt(proxy, () => planOf(row.spec, view, reachables)) ?? noPlan
  })

  /**
   * The policies whose sources select this proxy. Most proxies of a mesh have the same profile and share their
   * clusters.
   */
  const profile = units.family(
    'sidecar profile',
    (proxy: string, kind: string): Profile => connections.profile(kind, meshOf(proxy), plan(proxy).sources),
  )

  const number = units.family('virtual number', (key: string): number | undefined => {
    const spec = view.row(virtualAddress, key)?.spec
    return spec && spec.releasedAtMs === undefined ? spec.number : undefined
  })

  /** The reachable services of a mesh that have a number. */
  const numbered = units.family(
    'numbered services',
    (mesh: MeshName, reachable: Reachable | undefined): readonly NumberedService[] =>
      view.range(ranges.inMesh('VirtualAddress', mesh)).flatMap((key) => {
        const service = serviceName(parseKeyText(key).name)
        if (hostOfAddress(service) !== undefined) return []
        const found = !reachable || reachable.names.has(service) ? number(key) : undefined
        return found === undefined ? [] : [{ service, number: found, source: key }]
      }),
  )

  /** All reachable destinations with a virtual address. */
  const destinations = units.family(
    'named destinations',
    (mesh: MeshName, reachable: Reachable | undefined): readonly TagSet[] => [
      ...numbered(mesh, reachable).map(({ service }) => named(service)),
      ...hosts(mesh, reachable).map((one) => one.destination),
    ],
  )

  /** The tag set of any instance of a service. */
  const named = (service: ServiceName): TagSet => view.tagSet({ [serviceTag]: service })

  const sharedClusters = units.family(
    'shared clusters',
    (mesh: MeshName, reachable: Reachable | undefined, timeouts: Profile): readonly ClusterModel[] =>
      destinations(mesh, reachable).map((destination) => outbounds.cluster(mesh, destination, timeouts)),
  )

  const sharedAssignments = units.family(
    'shared assignments',
    (mesh: MeshName, reachable: Reachable | undefined): readonly AssignmentModel[] =>
      destinations(mesh, reachable).map((destination) => outbounds.assignment(mesh, destination)),
  )

  /**
   * One listener for a destination, decided by a row (`source`). The chain is shared, the address is the proxy's own.
   */
  const outboundListener = units.family(
    'outbound listener',
    (
      mesh: MeshName,
      destination: TagSet,
      address: string,
      port: number,
      timeouts: Profile,
      retries: Profile,
      source: string,
    ): ListenerModel => ({
      because: [source],
      name: `outbound:${address}:${port}`,
      address,
      port,
      direction: 'outbound',
      reusePort: false,
      inspectTls: false,
      tags: destination.tags,
      chains: [outbounds.chain(mesh, destination, timeouts, retries)],
    }),
  )

  const virtualListeners = units.family(
    'virtual listeners',
    (
      mesh: MeshName,
      reachable: Reachable | undefined,
      part: number,
      canBindPort80: boolean,
      timeouts: Profile,
      retries: Profile,
    ) =>
      [
        ...numbered(mesh, reachable).flatMap((one) =>
          servicePorts(one.service).map((port) => ({ ...one, mesh, port, destination: named(one.service) })),
        ),
        ...hosts(mesh, reachable),
      ].flatMap((one): readonly ListenerModel[] => {
        const address = loopbackAddressOf(one.number, part)
        if (address === undefined) {
          const reason = `virtual address ${one.number} is beyond the range of this proxy's host`
          // The fault lies with the range of the proxy's host, and not with the row of the service or of its address.
          units.problem(`${one.mesh}/${one.service}`, reason)
          return []
        }
        if (one.port === 80 && !canBindPort80) return []
        return [outboundListener(mesh, one.destination, address, one.port, timeouts, retries, one.source)]
      }),
  )

  /**
   * The outbounds that can be served. A cross-mesh outbound needs mutual TLS in both meshes, because client and gateway
   * verify each other.
   */
  const explicitOf = units.family('sidecar outbounds', (proxy: string): Plan['outbounds'] => {
    const mesh = meshOf(proxy)
    return plan(proxy).outbounds.filter(({ port, destination }) => {
      const { home, isCrossMesh } = placeOf(mesh, destination.tags)
      const without = isCrossMesh ? [mesh, home].find((one) => !meshes.isSecured(one)) : undefined
      if (without === undefined) return true
      units.problem(proxy, `networking.outbound ${port}: crossMesh needs mutual TLS in mesh "${without}"`)
      return false
    })
  })

  /** The other meshes whose gateways the proxy calls. */
  const otherMeshes = units.family('other meshes', (proxy: string, part: number | undefined): readonly string[] => {
    const mesh = meshOf(proxy)
    const named = part === undefined ? [] : hosts(mesh, plan(proxy).reachable).map((one) => one.mesh)
    const called = explicitOf(proxy).map(({ destination }) => placeOf(mesh, destination.tags).home)
    return [...new Set([...named, ...called])].filter((one) => one !== mesh).sort()
  })

  const inbounds = units.family('sidecar inbounds', (proxy: string) =>
    Array.from({ length: plan(proxy).inbounds }, (_unused, index) => index).flatMap(
      (index) => units.attempt(proxy, () => inbound(proxy, index)) ?? [],
    ),
  )

  const clusters = units.family(
    'sidecar clusters',
    (proxy: string, part: number | undefined): readonly ClusterModel[] => {
      const mesh = meshOf(proxy)
      const timeouts = profile(proxy, 'Timeout')
      const shared = part === undefined ? [] : sharedClusters(mesh, plan(proxy).reachable, timeouts)
      const own = [
        ...inbounds(proxy).map((one) => one.cluster),
        ...explicitOf(proxy).map((one) => outbounds.cluster(mesh, one.destination, timeouts)),
      ]
      return own.length === 0 ? shared : unique([...shared, ...own], (one) => one.name)
    },
  )

  const assignments = units.family(
    'sidecar assignments',
    (proxy: string, part: number | undefined): readonly AssignmentModel[] => {
      const mesh = meshOf(proxy)
      const shared = part === undefined ? [] : sharedAssignments(mesh, plan(proxy).reachable)
      const own = explicitOf(proxy).map((one) => outbounds.assignment(mesh, one.destination))
      return own.length === 0 ? shared : unique([...shared, ...own], (one) => one.cluster)
    },
  )

  const listeners = units.family(
    'sidecar listeners',
    (proxy: string, part: number | undefined, canBindPort80: boolean) => {
      const mesh = meshOf(proxy)
      const timeouts = profile(proxy, 'Timeout')
      const retries = profile(proxy, 'Retry')
      const explicit = explicitOf(proxy).map((one) =>
        outboundListener(mesh, one.destination, one.address, one.port, timeouts, retries, proxy),
      )
      const virtual =
        part === undefined ? [] : virtualListeners(mesh, plan(proxy).reachable, part, canBindPort80, timeouts, retries)
      const all = [...inbounds(proxy).map((one) => one.listener), ...explicit, ...virtual]
      // Envoy refuses a second listener on the same address, so only the first is kept.
      return unique(all, (one) => `${one.address}:${one.port}`)
    },
  )

  return units.family('sidecar', (proxy: string, part: number | undefined, canBindPort80: boolean): ProxyModel => {
    const { services, sources } = plan(proxy)
    const mesh = meshOf(proxy)
    // Only a proxy without a row, or with an invalid one, has no services.
    if (services.length === 0) return nothing
    const facts = meshes.mesh(mesh)
    const others = otherMeshes(proxy, part)
    const identity = {
      mesh,
      services,
      tags: identityTags(...sources.map(({ tags: one }) => one)),
      because: because(proxy, ...facts.because),
    }
    return {
      because: [proxy],
      clusters: clusters(proxy, part),
      assignments: assignments(proxy, part),
      listeners: listeners(proxy, part, canBindPort80),
      routeTables: [],
      ...(facts.mtls === 'none' ? {} : { identity }),
      ...(others.length > 0 ? { otherMeshes: others } : {}),
      runtimeLayer: false,
    }
  })
}

/** The mesh in a key text. */
const meshOf = (proxy: string): MeshName => meshName(parseKeyText(proxy).mesh)

/** The service of a Dataplane that names none, as in Kuma. Only permissions for all services include it. */
const unknownService = 'unknown'

function planOf(spec: DataplaneSpec, { zone, tagSet }: View, reachables: ReturnType<typeof createReachables>): Plan {
  const { gateway, inbound = [], outbound = [], transparentProxying } = spec.networking ?? {}
  const reachable = transparentProxying?.reachableServices ?? []
  const ownTags = gateway ? [gateway.tags] : inbound.length > 0 ? inbound.map(({ tags }) => tags) : [undefined]
  const services = dataplaneServices(spec)
  return {
    inbounds: gateway ? 0 : inbound.length,
    outbounds: outbound.flatMap(({ address = '127.0.0.1', port, tags }) =>
      tags?.[serviceTag] && port && isIp(address) ? [{ address, port, destination: tagSet(tags) }] : [],
    ),
    reachable: reachable.length === 0 || reachable.includes('*') ? undefined : reachables(reachable),
    sources: ownTags.map((tags) => tagSet(inZone(tags ?? {}, zone))),
    services: services.length > 0 ? services : [unknownService],
  }
}

function unique<T>(values: readonly T[], nameOf: (value: T) => string): readonly T[] {
  const byName = new Map<string, T>()
  for (const value of values) if (!byName.has(nameOf(value))) byName.set(nameOf(value), value)
  return [...byName.values()]
}
