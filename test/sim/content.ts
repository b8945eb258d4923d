import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'

const put = (origin: string, kind: string, mesh: string, name: string, spec: JsonObject): Change => ({
  op: 'put',
  key: { origin, kind, mesh, name },
  labels: {},
  spec,
})

export const routeKey = (name: string): ResourceKey => ({
  origin: globalOrigin,
  kind: 'MeshGatewayRoute',
  mesh: 'default',
  name,
})

const gatewayMatch = { match: { 'kuma.io/service': 'edge-gateway' } }

export const route = (name: string, path: string, service: string): Change =>
  put(globalOrigin, 'MeshGatewayRoute', 'default', name, {
    selectors: [gatewayMatch],
    conf: {
      http: {
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: path } }],
            backends: [{ weight: 1, destination: { 'kuma.io/service': service } }],
          },
        ],
      },
    },
  })

/** Two rows that are always written together, with the same number. */
export const pair = (number: number): readonly Change[] =>
  ['left', 'right'].map((side) =>
    put(globalOrigin, 'Timeout', 'default', `pair-${side}`, {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': '*' } }],
      conf: { connectTimeout: `${number + 1}s` },
    }),
  )

export const bulkRows = 3_000
export const bulkName = (index: number): string => `bulk-${String(index).padStart(4, '0')}`

/** So many rows that a round of them has several parts; always written together, all with the same number. */
export const bulk = (number: number): readonly Change[] =>
  Array.from({ length: bulkRows }, (_, index) =>
    put(globalOrigin, 'TokenKey', '', bulkName(index), { purpose: 'bulk', mesh: '', kid: `${number}`, publicKey: '' }),
  )

export const isRemoved = (key: ResourceKey): Change => ({ op: 'delete', key })

/** The rows of the global at the start. */
export const globalBase = (zones: readonly string[]): readonly Change[] => [
  put(globalOrigin, 'Mesh', '', 'default', {
    mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin', mode: 'STRICT' }] },
  }),
  ...zones.map((zone) => put(globalOrigin, 'Zone', '', zone, { enabled: true })),
  put(globalOrigin, 'MeshGateway', 'default', 'edge-gateway', {
    selectors: [gatewayMatch],
    conf: { listeners: [{ port: 18080, protocol: 'HTTP', tags: { port: 'http' } }] },
  }),
  put(globalOrigin, 'MeshTrafficPermission', 'default', 'allow-all', {
    from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }],
  }),
  ...zones.map((zone) => route(`stable-${zone}`, `/${zone}`, `stable-${zone}`)),
  ...Array.from({ length: 16 }, (_, index) => route(`r${index}`, `/r${index}`, `stable-${zones[0]}`)),
  ...pair(0),
]

export const sidecar = (zone: string, name: string, service: string, host: number): Change =>
  put(zone, 'Dataplane', 'default', name, {
    networking: {
      address: `127.41.0.${host}`,
      inbound: [
        {
          port: 10080,
          servicePort: 8080,
          serviceAddress: '127.0.0.1',
          tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'http' },
        },
      ],
    },
  })

export const gatewayName = 'gateway-1'

/** The rows of a zone at the start: a service that always runs, an ingress, a gateway. */
export const zoneBase = (zone: string): readonly Change[] => [
  sidecar(zone, 'stable-1', `stable-${zone}`, 2),
  put(zone, 'ZoneIngress', '', `ingress-${zone}`, {
    networking: { address: '127.42.0.2', port: 10001, advertisedAddress: '127.42.0.102', advertisedPort: 10002 },
  }),
  put(zone, 'Dataplane', 'default', gatewayName, {
    networking: { address: '127.41.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge-gateway' } } },
  }),
]

/** A row that no schema accepts, from a peer that has not validated it. */
export const badRoute = (name: string): Change =>
  put(globalOrigin, 'MeshGatewayRoute', 'default', name, { selectors: 'everything', conf: { http: 7 } })
