import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'

/** Writes rows as a store does and returns their versions. */
export function createScene() {
  let revision = 0
  const created = new Map<string, number>()
  const live = new Map<string, Row>()

  const text = (key: ResourceKey) => `${key.origin}/${key.kind}/${key.mesh}/${key.name}`

  return {
    put(key: ResourceKey, spec: unknown, labels: Record<string, string> = {}): Version {
      revision += 1
      const at = text(key)
      const createdAtMs = created.get(at) ?? revision * 1000
      created.set(at, createdAtMs)
      const stamp = { incarnation: 1, originRevision: revision, createdAtMs, modifiedAtMs: revision * 1000 }
      // A test may write a spec that admission would refuse.
      const row: Row = { key, stamp, labels, spec: spec as JsonObject }
      live.set(at, row)
      return { key, revision, state: 'live', stamp, row }
    },
    remove(key: ResourceKey): Version {
      revision += 1
      const at = text(key)
      created.delete(at)
      live.delete(at)
      return {
        key,
        revision,
        state: 'deleted',
        stamp: { incarnation: 1, originRevision: revision, createdAtMs: 0, modifiedAtMs: 0 },
      }
    },
    /** All live rows as versions, for a build from nothing. */
    all: (): Version[] =>
      [...live.values()].map((row) => ({ key: row.key, revision, state: 'live', stamp: row.stamp, row })),
    get revision() {
      return revision
    },
  }
}
export type Scene = ReturnType<typeof createScene>

export const global = (kind: string, name: string, mesh = 'default'): ResourceKey => ({
  origin: globalOrigin,
  kind,
  mesh,
  name,
})
export const zoned = (zone: string, kind: string, name: string, mesh = 'default'): ResourceKey => ({
  origin: zone,
  kind,
  mesh,
  name,
})

export const mtlsMesh = (mode: 'STRICT' | 'PERMISSIVE' = 'STRICT') => ({
  mtls: { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin', mode }] },
})

export const sidecar = (address: string, service: string, tags: Record<string, string> = {}, more: object = {}) => ({
  networking: {
    address,
    inbound: [
      {
        port: 10080,
        servicePort: 8080,
        serviceAddress: '127.0.0.1',
        tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'http', ...tags },
      },
    ],
    ...more,
  },
})

export const builtinGateway = (address: string, service = 'edge-gateway') => ({
  networking: { address, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': service } } },
})

export const meshGateway = (listeners: readonly object[], service = 'edge-gateway') => ({
  selectors: [{ match: { 'kuma.io/service': service } }],
  conf: { listeners },
})

export const httpRoute = (rules: readonly object[], more: object = {}, selector: Record<string, string> = {}) => ({
  selectors: [{ match: { 'kuma.io/service': 'edge-gateway', ...selector } }],
  conf: { http: { rules, ...more } },
})

export const prefixRule = (path: string, ...services: string[]) => ({
  matches: [{ path: { match: 'PREFIX', value: path } }],
  backends: services.map((service) => ({ weight: 1, destination: { 'kuma.io/service': service } })),
})

/** A gateway and a client in east, an ingress and a service in west, as both zones see them. */
export function twoZones(scene: Scene) {
  return [
    scene.put(global('Mesh', 'default', ''), mtlsMesh()),
    scene.put(global('Zone', 'east', ''), { enabled: true }),
    scene.put(global('Zone', 'west', ''), { enabled: true }),
    scene.put(
      global('MeshGateway', 'edge-gateway'),
      meshGateway([{ port: 18080, protocol: 'HTTP', tags: { port: 'http' } }]),
    ),
    scene.put(global('MeshGatewayRoute', 'root'), httpRoute([prefixRule('/', 'echo')])),
    scene.put(global('MeshTrafficPermission', 'allow-all'), {
      from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }],
    }),
    scene.put(zoned('east', 'Dataplane', 'edge-gateway-1'), builtinGateway('127.41.0.1')),
    scene.put(zoned('east', 'Dataplane', 'client-1'), sidecar('127.41.0.3', 'client')),
    scene.put(zoned('west', 'Dataplane', 'echo-1'), sidecar('127.42.0.3', 'echo')),
    scene.put(zoned('west', 'ZoneIngress', 'ingress-west', ''), {
      networking: { address: '127.42.0.2', port: 10001, advertisedAddress: '127.42.0.102', advertisedPort: 10002 },
    }),
    scene.put(zoned('west', 'AvailableService', 'a1'), {
      tags: { 'kuma.io/service': 'echo', 'kuma.io/protocol': 'http', 'kuma.io/zone': 'west' },
      instances: 1,
    }),
    scene.put(zoned('east', 'VirtualAddress', 'echo'), { number: 0 }),
    scene.put(zoned('east', 'VirtualAddress', 'client'), { number: 1 }),
  ]
}
