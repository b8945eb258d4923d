import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import { because } from '../kinds/because.ts'
import type { MeshName } from '../kinds/identities.ts'
import { createInterning } from '../kinds/interned.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { ranges } from '../kinds/ranges.ts'
import { selects, serviceOf, type TagSet } from '../kinds/tags.ts'
import type { Connections } from '../match/connections.ts'
import { compareHostnames } from '../match/hostnames.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { RouteModel, RouteTableModel, VirtualHostModel } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { misdirectedHosts, planHosts } from './hosts.ts'
import { compareEntries } from './order.ts'
import type { ListenerOrigin } from './redirects.ts'
import { createRouteParts, type Destination, type Origin } from './route-parts.ts'
import { createRoutePolicies } from './route-policies.ts'
import type { GatewayPort, GatewaySelection, PortPlace } from './select.ts'

interface ServedHost {
  readonly model: VirtualHostModel
  readonly destinations: readonly Destination[]
  readonly contributions: readonly (readonly [key: string, hash: string])[]
}

/**
 * Builds the route tables of a gateway's ports from MeshGatewayRoutes. All replicas of a gateway share them. `prove`
 * throws if a route cannot be encoded for Envoy.
 */
export function createGatewayRoutes(
  units: Units,
  view: View,
  selection: GatewaySelection,
  connections: Connections,
  exclusions: Exclusions,
  prove: (route: RouteModel) => unknown,
) {
  const policies = createRoutePolicies(units, view, connections)
  const { part, partHash } = createRouteParts(units, view, policies, exclusions, prove)

  /** The fields that bind a route to hosts. Changes to its other fields do not affect readers of this unit. */
  const binding = units.family('route binding', (key: string) => {
    const spec = view.row(meshGatewayRoute, key)?.spec
    const { http, tcp } = spec?.conf ?? {}
    if (!spec || !(http || tcp)) return undefined
    const selectors = spec.selectors.map(({ match = {} }) => match)
    return { protocol: http ? 'http' : 'tcp', selectors, hostnames: [...(http?.hostnames ?? [])] }
  })

  /** The routes of a protocol (`http` or `tcp`) that select a listener with these tags. */
  const attached = units.family(
    'attached routes',
    (mesh: MeshName, listener: TagSet, protocol: 'http' | 'tcp'): readonly string[] => {
      const keys = [serviceOf(listener), '*'].flatMap((service) =>
        view.range(ranges.selecting('MeshGatewayRoute', mesh, service)),
      )
      const isBound = (key: string) => {
        const found = binding(key)
        return found?.protocol === protocol && found.selectors.some((match) => selects(match, listener.tags))
      }
      return [...new Set(keys)].filter((key) => units.attempt(key, () => isBound(key))).sort()
    },
  )

  /** The hosts of one table: all hosts of an HTTP port, or those of one hostname of an HTTPS port. */
  const plan = units.family('hosts', (place: PortPlace, hostname: string | undefined) => {
    const boundTo = ({ tags }: { readonly tags: TagSet }) =>
      attached(place.mesh, tags, 'http').map((key) => ({ key, hostnames: binding(key)?.hostnames ?? [] }))
    return planHosts(portAt(place)?.hosts ?? [], boundTo, hostname)
  })

  const portAt = ({ gateway, own, port }: PortPlace): GatewayPort | undefined =>
    portOf(selection.ports(gateway, own), port)

  const hostPlan = units.family('host', (place: PortPlace, hostname: string | undefined, host: string) =>
    plan(place, hostname).get(host),
  )

  const origins = createInterning(canonicalJson, (one, origin: ListenerOrigin): Origin => ({ ...one, ...origin }))

  const virtualHost = units.family(
    'virtual host',
    (place: PortPlace, hostname: string | undefined, host: string): ServedHost | undefined => {
      const found = hostPlan(place, hostname, host)
      const port = portAt(place)
      // The host was removed, and so will be the units that read this one.
      if (!found || !port) return undefined
      const { groups, listener, listenerTags } = found
      const origin = origins(originOf(port))
      const partsByGroup = groups.map((keys) => keys.map((key) => ({ key, part: part(key, listenerTags, origin) })))
      const parts = partsByGroup.flat()
      const entries = partsByGroup.flatMap((group) => group.flatMap((one) => one.part.entries).sort(compareEntries))
      const contributions = parts
        .filter((one) => one.part.entries.length > 0)
        .map(({ key }) => [key, partHash(key)] as const)
      const model = {
        name: host,
        domains: [host],
        listener,
        because: because(place.gateway, ...contributions.map(([key]) => key)),
        routes: entries.map((entry) => entry.route),
      }
      return {
        model: hostname === undefined && !port.crossMesh ? model : { ...model, requireTls: true },
        destinations: parts.flatMap((one) => one.part.destinations),
        contributions,
      }
    },
  )

  const hosts = units.family('served hosts', (place: PortPlace, hostname: string | undefined): readonly string[] =>
    [...plan(place, hostname).keys()].sort(compareHostnames),
  )

  return {
    ...policies,
    attached,
    partHash,
    /** The route table of an HTTP port (no hostname), or of one hostname of an HTTPS port. */
    table: units.family('route table', (place: PortPlace, hostname: string | undefined): RouteTableModel => {
      const { gateway } = place
      const served = hosts(place, hostname).flatMap((host) => virtualHost(place, hostname, host) ?? [])
      const found = portAt(place)
      const others = hostname === undefined ? [] : misdirectedHosts(found?.hosts ?? [], hostname)
      return {
        name: `${found?.name ?? ''}:${hostname ?? '*'}`,
        because: [gateway],
        hosts: [
          ...served.map((host) => host.model),
          ...(others.length > 0
            ? [{ name: 'misdirected', domains: others, routes: [], misdirected: true, because: [gateway] }]
            : []),
        ],
        removeTagsHeader: true,
        ignorePort: true,
        contributions: new Map(served.flatMap((host) => host.contributions).sort(([a], [b]) => byCodeUnit(a, b))),
      }
    }),
    /** The hosts of a route table. */
    hosts,
    /** The destinations of one host of a route table. */
    destinations: (place: PortPlace, hostname: string | undefined, host: string): readonly Destination[] =>
      virtualHost(place, hostname, host)?.destinations ?? [],
  }
}
export type GatewayRoutes = ReturnType<typeof createGatewayRoutes>

export const portOf = (ports: readonly GatewayPort[], port: number): GatewayPort | undefined =>
  ports.find((one) => one.port === port)

/** How clients reach a port. Clients of a cross-mesh listener use HTTP, although the proxies between use TLS. */
const originOf = ({ protocol, crossMesh, port }: GatewayPort): ListenerOrigin => ({
  scheme: protocol === 'HTTPS' ? 'https' : 'http',
  port,
  namesScheme: crossMesh,
})
