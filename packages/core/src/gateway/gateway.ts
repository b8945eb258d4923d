import type { ClusterModel, ListenerModel, ProxyModel } from '../compile/model.ts'
import { isLoopback, statName } from '../edge/addresses.ts'
import type { Endpoints } from '../edge/endpoints.ts'
import { inZone, type Meshes } from '../edge/meshes.ts'
import { sniOf } from '../edge/sni.ts'
import { isIp, protocolTag, serviceTag } from '../kinds/common.ts'
import type { DataplaneSpec } from '../kinds/dataplane.ts'
import { parseTags, tagsText } from '../match/tags.ts'
import { defaultTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import type { GatewayRoutes } from './routes.ts'
import type { GatewaySelection } from './select.ts'

const bufferBytes = 32_768

/** Builtin gateways: listeners from the MeshGateway, route tables and clusters from the routes bound to it. */
export function createGateways(
  units: Units,
  view: View,
  meshes: Meshes,
  endpoints: Endpoints,
  selection: GatewaySelection,
  routes: GatewayRoutes,
) {
  const cluster = units.family(
    'gateway cluster',
    (name: string, mesh: string, destination: string, listenerTags: string): ClusterModel => {
      const tags = parseTags(destination)
      const service = tags[serviceTag] ?? ''
      const timeouts = routes.timeouts(routes.policyOf('Timeout', mesh, parseTags(listenerTags), [tags]))
      const protocol = tags[protocolTag] ?? 'http'
      const http = {
        version: protocol === 'http2' || protocol === 'grpc' ? (2 as const) : (1 as const),
        idleMs: timeouts.idleMs,
        maxStreamMs: timeouts.maxStreamMs,
        edgeWindows: true,
      }
      return {
        name,
        target: 'eds',
        connectMs: timeouts.connectMs,
        bufferBytes,
        breakers: 'limits',
        ...(protocol === 'tcp' || protocol === 'kafka' ? {} : { http }),
        ...(meshes.mesh(mesh).mtls === 'none' ? {} : { mtls: { mesh, service, sni: sniOf(mesh, tags) } }),
      }
    },
  )

  const listener = units.family(
    'gateway listener',
    (name: string, address: string, port: string, service: string): ListenerModel => ({
      name,
      address,
      port: Number(port),
      direction: 'inbound',
      // Two gateways on one host's loopback must never answer for each other.
      reusePort: !isLoopback(address),
      bufferBytes,
      inspectTls: true,
      chains: [
        {
          content: {
            type: 'http',
            statPrefix: statName(service),
            routes: { rds: `${name}:*` },
            role: 'gateway',
            streamIdleMs: defaultTimeouts.gateway.streamIdleMs,
          },
        },
      ],
    }),
  )

  return units.family('gateway', (proxy: string): ProxyModel | undefined => {
    const row = view.row(proxy)
    if (!row) return undefined
    const { mesh } = row.key
    const own = units.attempt(proxy, () => {
      // Admission stored what the schema returned.
      const { address = '', gateway } = (row.spec as DataplaneSpec).networking ?? {}
      if (!isIp(address)) throw new Error(`networking.address: expected an IP address, found "${address}"`)
      return { address, tags: inZone(gateway?.tags ?? {}, view.zone) }
    })
    const text = tagsText(own?.tags ?? {})
    const gateway = own && selection.gateway(mesh, text)
    const ports = gateway ? (units.attempt(gateway, () => selection.ports(gateway, text)) ?? []) : []
    const service = own?.tags[serviceTag] ?? ''
    const destinations = gateway
      ? ports.flatMap((one) => routes.destinations(mesh, gateway, text, String(one.port)))
      : []
    const unique = [...new Map(destinations.map((one) => [one.cluster, one])).values()]
    const identity = { mesh, services: [service], tags: identityTags(own?.tags ?? {}) }
    return {
      clusters: unique.map((one) => cluster(one.cluster, mesh, one.tagsText, one.listenerTags)),
      assignments: unique.map((one) => endpoints.assignment(one.cluster, mesh, one.tagsText)),
      listeners: ports.map((one) => listener(one.name, own?.address ?? '', String(one.port), service)),
      routeTables: gateway ? ports.map((one) => routes.table(mesh, gateway, text, String(one.port))) : [],
      ...(service !== '' && meshes.mesh(mesh).mtls !== 'none' ? { identity } : {}),
      runtimeLayer: true,
    }
  })
}

/** Tags as a certificate bears them: `<tag>/<value>`, sorted. */
export const identityTags = (...sets: readonly Readonly<Record<string, string>>[]): readonly string[] =>
  [...new Set(sets.flatMap((tags) => Object.entries(tags).map(([key, value]) => `${key}/${value}`)))].sort()
