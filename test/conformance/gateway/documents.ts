import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Identity } from './echo.ts'
import { type Backend, echo, type Feature, type Listener, v1, v2, v3 } from './feature.ts'
import { type StreamFeature, tcp, tlsService } from './features/tls.ts'

/** The resources from which the features of the gateway are built. */

export const mesh = 'default'
export const gateway = 'conformance-gateway'

export interface Service extends Identity {
  readonly protocol: 'http' | 'tcp' | 'tls'
}

/** The services: some run in the zone of the gateway, some in the other zone. */
export const services: readonly Service[] = [
  { service: v1, zone: 'west', version: '1', protocol: 'http' },
  { service: v2, zone: 'east', version: '1', protocol: 'http' },
  { service: v3, zone: 'west', version: '1', protocol: 'http' },
  { service: echo, zone: 'west', version: 'a', protocol: 'http' },
  { service: echo, zone: 'west', version: 'b', protocol: 'http' },
  { service: echo, zone: 'east', version: 'c', protocol: 'http' },
  { service: tcp, zone: 'west', version: 'a', protocol: 'tcp' },
  { service: tcp, zone: 'east', version: 'b', protocol: 'tcp' },
  { service: tlsService, zone: 'west', version: '1', protocol: 'tls' },
]

export type AnyFeature = Feature | StreamFeature

export const base: readonly JsonObject[] = [
  {
    type: 'Mesh',
    name: mesh,
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] },
  },
  {
    type: 'TrafficPermission',
    mesh,
    name: 'allow-all',
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*' } }],
  },
]

export function meshGateway(features: readonly AnyFeature[], ports: ReadonlyMap<string, number>): JsonObject {
  const listener = (feature: string, { at = 'a', hostname, protocol = 'HTTP', tls, tag }: Listener): JsonObject => ({
    port: ports.get(`${feature}/${at}`) ?? 0,
    protocol,
    ...(hostname === undefined ? {} : { hostname }),
    ...(tls === undefined ? {} : { tls: tls as JsonObject }), // written in a table of JSON
    tags: { feature, ...(tag === undefined ? {} : { listener: tag }) },
  })
  return {
    type: 'MeshGateway',
    mesh,
    name: gateway,
    selectors: [{ match: { 'kuma.io/service': gateway } }],
    conf: {
      listeners: features.flatMap(({ name, listeners = [{}] }) => listeners.map((one) => listener(name, one))),
    },
  }
}

const backendOf = ({ to, tags, weight }: Backend): JsonObject => ({
  ...(weight === undefined ? {} : { weight }),
  destination: { 'kuma.io/service': to, ...tags },
})

export function routesOf({ name, routes }: AnyFeature): JsonObject[] {
  return routes.map(({ listener, hostnames, http, tcp }, index) => {
    const conf = tcp
      ? { tcp: { rules: tcp.map((backends) => ({ backends: backends.map(backendOf) })) } }
      : {
          http: {
            ...(hostnames ? { hostnames } : {}),
            rules: (http ?? []).map(({ matches, filters, backends }) => ({
              matches,
              ...(filters ? { filters } : {}),
              ...(backends ? { backends: backends.map(backendOf) } : {}),
            })),
          },
        }
    return {
      type: 'MeshGatewayRoute',
      mesh,
      name: `${name}-${index}`,
      selectors: [
        { match: { 'kuma.io/service': gateway, feature: name, ...(listener === undefined ? {} : { listener }) } },
      ],
      conf: conf as unknown as JsonObject, // written in a table of JSON
    }
  })
}
