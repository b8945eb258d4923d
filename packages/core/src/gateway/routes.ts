import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { serviceTag } from '../kinds/common.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { ranges } from '../kinds/ranges.ts'
import { parseTags, selects } from '../kinds/tags.ts'
import type { Connections } from '../match/connections.ts'
import { compareHostnames } from '../match/hostnames.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { RouteModel, RouteTableModel, VirtualHostModel } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { misdirectedHosts, planHosts } from './hosts.ts'
import { compareEntries } from './order.ts'
import { createRouteParts, type Destination } from './route-parts.ts'
import { createRoutePolicies } from './route-policies.ts'
import type { GatewayPort, GatewaySelection } from './select.ts'

interface ServedHost {
  readonly model: VirtualHostModel
  readonly destinations: readonly Destination[]
  readonly contributions: readonly (readonly [key: string, hash: string])[]
}

/**
 * From MeshGatewayRoutes to the route table of a gateway's port. Replicas of a gateway share all of it. `prove` throws on
 * a route that cannot be said to Envoy at all.
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
  const { part, partHash, sourceOf } = createRouteParts(units, view, policies, exclusions, prove)

  /** What binds a route to hosts; other fields of it wake nobody who reads this. */
  const binding = units.family('route binding', (key: string) => {
    const spec = view.row(meshGatewayRoute, key)?.spec
    const { http, tcp } = spec?.conf ?? {}
    if (!spec || !(http || tcp)) return undefined
    const selectors = spec.selectors.map(({ match = {} }) => match)
    return { protocol: http ? 'http' : 'tcp', selectors, hostnames: [...(http?.hostnames ?? [])] }
  })

  /** The routes of a protocol (`http` or `tcp`) that are bound to a listener with these tags. */
  const attached = units.family(
    'attached routes',
    (mesh: string, listenerTags: string, protocol: string): readonly string[] => {
      const tags = parseTags(listenerTags)
      const keys = [tags[serviceTag] ?? '', '*'].flatMap((service) =>
        view.range(ranges.selecting('MeshGatewayRoute', mesh, service)),
      )
      const isBound = (key: string) => {
        const found = binding(key)
        return found?.protocol === protocol && found.selectors.some((match) => selects(match, tags))
      }
      return [...new Set(keys)].filter((key) => units.attempt(key, () => isBound(key))).sort()
    },
  )

  /** The hosts of one table: all of a port, or for HTTPS those of one hostname of it. */
  const plan = units.family('hosts', (mesh: string, gateway: string, own: string, port: string, hostname: string) => {
    const listeners = portOf(selection.ports(gateway, own), port)?.hosts ?? []
    const boundTo = ({ tagsText }: { readonly tagsText: string }) =>
      attached(mesh, tagsText, 'http').map((key) => ({ key, hostnames: binding(key)?.hostnames ?? [] }))
    return planHosts(listeners, boundTo, hostname === '' ? undefined : hostname)
  })

  const hostPlan = units.family(
    'host',
    (mesh: string, gateway: string, own: string, port: string, hostname: string, host: string) =>
      plan(mesh, gateway, own, port, hostname).get(host),
  )

  const virtualHost = units.family(
    'virtual host',
    (mesh: string, gateway: string, own: string, port: string, hostname: string, host: string): ServedHost => {
      const { groups = [], listenerTags = '{}' } = hostPlan(mesh, gateway, own, port, hostname, host) ?? {}
      const found = portOf(selection.ports(gateway, own), port)
      const origin = originOf(found)
      const partsByGroup = groups.map((keys) => keys.map((key) => ({ key, part: part(key, listenerTags, origin) })))
      const parts = partsByGroup.flat()
      const entries = partsByGroup.flatMap((group) => group.flatMap((one) => one.part.entries).sort(compareEntries))
      const model = { name: host, domains: [host], routes: entries.map((entry) => entry.route) }
      return {
        model: hostname === '' && !found?.crossMesh ? model : { ...model, requireTls: true },
        destinations: parts.flatMap((one) => one.part.destinations),
        contributions: parts.filter((one) => one.part.entries.length > 0).map(({ key }) => [key, partHash(key)]),
      }
    },
  )

  const hosts = units.family(
    'served hosts',
    (mesh: string, gateway: string, own: string, port: string, hostname: string): readonly string[] =>
      [...plan(mesh, gateway, own, port, hostname).keys()].sort(compareHostnames),
  )

  return {
    sourceOf,
    ...policies,
    attached,
    partHash,
    /** The route table of an HTTP port (no hostname), or of one hostname of an HTTPS port. */
    table: units.family(
      'route table',
      (mesh: string, gateway: string, own: string, port: string, hostname: string): RouteTableModel => {
        const served = hosts(mesh, gateway, own, port, hostname).map((host) =>
          virtualHost(mesh, gateway, own, port, hostname, host),
        )
        const found = portOf(selection.ports(gateway, own), port)
        const others = hostname === '' ? [] : misdirectedHosts(found?.hosts ?? [], hostname)
        return {
          name: `${found?.name ?? ''}:${hostname || '*'}`,
          hosts: [
            ...served.map((host) => host.model),
            ...(others.length > 0 ? [{ name: 'misdirected', domains: others, routes: [], misdirected: true }] : []),
          ],
          removeTagsHeader: true,
          ignorePort: true,
          contributions: new Map(served.flatMap((host) => host.contributions).sort(([a], [b]) => byCodeUnit(a, b))),
        }
      },
    ),
    /** The hosts of such a table. */
    hosts,
    /** The clusters that one host of it leads to. */
    destinations: (
      mesh: string,
      gateway: string,
      own: string,
      port: string,
      hostname: string,
      host: string,
    ): readonly Destination[] => virtualHost(mesh, gateway, own, port, hostname, host).destinations,
  }
}
export type GatewayRoutes = ReturnType<typeof createGatewayRoutes>

export const portOf = (ports: readonly GatewayPort[], port: string): GatewayPort | undefined =>
  ports.find((one) => String(one.port) === port)

/** `http:8080`: how clients reach a port. `mesh:8080` is HTTP for them, though TLS between the proxies. */
const originOf = (port: GatewayPort | undefined): string =>
  `${port?.protocol === 'HTTPS' ? 'https' : port?.crossMesh ? 'mesh' : 'http'}:${port?.port ?? 0}`
