import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { isLoopback } from '../edge/addresses.ts'
import type { Endpoints } from '../edge/endpoints.ts'
import { identityTags } from '../edge/identity.ts'
import { inZone, type Meshes } from '../edge/meshes.ts'
import { sniOf } from '../edge/sni.ts'
import { because, becauseOfAll } from '../kinds/because.ts'
import { protocolTag } from '../kinds/common.ts'
import { placeOf } from '../kinds/cross-mesh.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { expectIp } from '../kinds/expect.ts'
import { type MeshName, meshName } from '../kinds/identities.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import type { AssignmentModel, ClusterModel, ListenerModel, ProxyModel } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import type { GatewayListeners } from './listeners.ts'
import type { Destination } from './route-parts.ts'
import type { GatewayRoutes } from './routes.ts'
import type { GatewaySelection, PortPlace } from './select.ts'

const bufferBytes = 32_768

interface Target {
  /** The mesh of the service. */
  readonly home: MeshName
  readonly cluster: ClusterModel
  readonly assignment: AssignmentModel
}

/** Builtin gateways. Listeners come from the MeshGateway, route tables and clusters from the routes bound to it. */
export function createGateways(
  units: Units,
  view: View,
  meshes: Meshes,
  endpoints: Endpoints,
  selection: GatewaySelection,
  routes: GatewayRoutes,
  plans: GatewayListeners,
) {
  const cluster = units.family(
    'gateway cluster',
    (name: string, mesh: MeshName, destination: TagSet, listener: TagSet, spoken: string): ClusterModel => {
      const { tags } = destination
      const timeouts = routes.timeouts(routes.policyOf('Timeout', mesh, listener, [destination]))
      const facts = meshes.mesh(mesh)
      const { home, homeTags } = placeOf(mesh, tags)
      const protocol = tags[protocolTag] ?? spoken
      const http = {
        version: protocol === 'http2' || protocol === 'grpc' ? (2 as const) : (1 as const),
        idleMs: timeouts.idleMs,
        maxStreamMs: timeouts.maxStreamMs,
        edgeWindows: true,
      }
      return {
        name,
        destination: tags,
        because: becauseOfAll([timeouts, facts]),
        target: 'eds',
        connectMs: timeouts.connectMs,
        bufferBytes,
        breakers: 'limits',
        ...(protocol === 'tcp' || protocol === 'kafka' ? {} : { http }),
        ...(facts.mtls === 'none'
          ? {}
          : {
              mtls: {
                mesh: home,
                service: serviceOf(destination),
                sni: sniOf(home, homeTags),
                ...(home === mesh ? {} : { shown: mesh }),
              },
            }),
      }
    },
  )

  function targetOf(mesh: MeshName, to: Destination, spoken: string): Target {
    const { home } = placeOf(mesh, to.tags.tags)
    return {
      home,
      cluster: cluster(to.cluster, mesh, to.tags, to.listener, spoken),
      assignment: endpoints.assignment(to.cluster, home, to.tags),
    }
  }

  /**
   * The targets of one host of a route table. They are per host, so that a change to one route among thousands visits
   * only the clusters of its hosts.
   */
  const hostTargets = units.family(
    'host targets',
    (place: PortPlace, hostname: string | undefined, host: string): readonly Target[] =>
      routes.destinations(place, hostname, host).map((to) => targetOf(place.mesh, to, 'http')),
  )

  const listener = units.family(
    'gateway listener',
    (place: PortPlace, address: string, proxy: string): ListenerModel => {
      const { name, chains, serves, contributions } = plans(place)
      return {
        name,
        because: because(proxy, place.gateway),
        serves,
        address,
        port: place.port,
        direction: 'inbound',
        // On a loopback address two gateways of one host could otherwise share a port and answer each other's requests.
        reusePort: !isLoopback(address),
        bufferBytes,
        // The inspector waits for the client to speak. With a protocol in which the server speaks first, the connection
        // would stall.
        inspectTls: chains.some(({ match, content }) => match !== undefined || content.type === 'http'),
        chains,
        ...(contributions.size > 0 ? { contributions } : {}),
      }
    },
  )

  return units.family('gateway', (proxy: string): ProxyModel | undefined => {
    const row = view.row(dataplane, proxy)
    if (!row) return undefined
    const mesh = meshName(row.key.mesh)
    const own = units.attempt(proxy, () => {
      const { address = '', gateway } = row.spec.networking ?? {}
      expectIp('networking.address', address)
      return { address, tags: view.tagSet(inZone(gateway?.tags ?? {}, view.zone)) }
    })
    const { address = '', tags = view.tagSet({}) } = own ?? {}
    const gateway = own && selection.gateway(mesh, tags)
    const ports = gateway ? (units.attempt(gateway, () => selection.ports(gateway, tags)) ?? []) : []
    const service = serviceOf(tags)
    const facts = meshes.mesh(mesh)
    const identity = {
      mesh,
      services: [service],
      tags: identityTags(tags.tags),
      because: because(proxy, ...facts.because),
    }
    const served = ports.flatMap(({ port, connectionLimit }) => {
      const place = gateway === undefined ? undefined : selection.place({ mesh, gateway, own: tags, port })
      const plan = place && plans(place)
      return place && plan && plan.chains.length > 0 ? [{ place, connectionLimit, plan }] : []
    })
    const tables = served.flatMap(({ place, plan }) => plan.tables.map((hostname) => [place, hostname] as const))
    // If HTTP and TCP listeners with the same tags lead to one cluster, it gets the HTTP settings: TCP passes through
    // such a cluster unchanged, while HTTP needs a version.
    const targets = uniqueBy(
      [
        ...tables.flatMap((table) => routes.hosts(...table).flatMap((host) => hostTargets(...table, host))),
        ...served.flatMap(({ plan }) => plan.destinations.map((to) => targetOf(mesh, to, 'tcp'))),
      ],
      ({ cluster: { name } }) => name,
    )
    const certificates = uniqueBy(
      served.flatMap(({ plan }) => plan.certificates),
      (one) => one.name,
    )
    const anyMesh = served.some(({ plan }) => plan.chains.some((chain) => chain.anyMesh))
    const isSecured = service !== '' && facts.mtls !== 'none'
    const otherMeshes = isSecured
      ? [...new Set(targets.map(({ home }) => home))].filter((one) => one !== mesh).sort()
      : []
    const limits = served.filter((one) => one.connectionLimit > 0)
    return {
      because: because(proxy, gateway),
      clusters: targets.map((one) => one.cluster),
      assignments: targets.map((one) => one.assignment),
      listeners: served.map(({ place }) => listener(place, address, proxy)),
      routeTables: tables.map((table) => routes.table(...table)),
      ...(isSecured ? { identity } : {}),
      ...(otherMeshes.length > 0 ? { otherMeshes } : {}),
      ...(anyMesh ? { anyMesh } : {}),
      ...(certificates.length > 0 ? { certificates: sortedBy(certificates, (one) => one.name) } : {}),
      runtimeLayer: true,
      ...(limits.length > 0
        ? {
            connectionLimits: sortedBy(
              limits.map(({ plan, connectionLimit }) => ({
                listener: plan.name,
                limit: connectionLimit,
                because: because(gateway),
              })),
              (one) => one.listener,
            ),
          }
        : {}),
    }
  })
}

/** The first value of each name. */
const uniqueBy = <T>(all: readonly T[], nameOf: (one: T) => string): readonly T[] => {
  const byName = new Map<string, T>()
  for (const one of all) if (!byName.has(nameOf(one))) byName.set(nameOf(one), one)
  return [...byName.values()]
}

const sortedBy = <T>(all: readonly T[], nameOf: (one: T) => string): readonly T[] =>
  [...all].sort((a, b) => byCodeUnit(nameOf(a), nameOf(b)))
