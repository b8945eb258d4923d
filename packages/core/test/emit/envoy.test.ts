import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import {
  builtinGateway,
  createScene,
  global,
  meshGateway,
  mtlsMesh,
  sidecar,
  twoZones,
  zoned,
} from '../compile/scene.ts'
import { withTable } from './with-table.ts'

const binary = await findEnvoy({ env: process.env, progress: () => undefined }, AbortSignal.timeout(60_000)).catch(
  () => undefined,
)

/**
 * All features in one scene: cross-mesh listeners, permissive and strict inbounds, denials, subsets, TCP, retries,
 * header filters, hostnames.
 */
function fullScene(mode: 'STRICT' | 'PERMISSIVE') {
  const scene = createScene()
  const versions = twoZones(scene)
  versions.push(
    scene.put(global('Mesh', 'default', ''), mtlsMesh(mode)),
    scene.put(zoned('west', 'Dataplane', 'db-1'), {
      networking: {
        address: '10.0.0.7',
        inbound: [
          {
            port: 5432,
            servicePort: 15432,
            tags: { 'kuma.io/service': 'db', 'kuma.io/protocol': 'tcp', version: 'V1' },
          },
          {
            port: 5433,
            servicePort: 15433,
            tags: { 'kuma.io/service': 'DB', 'kuma.io/protocol': 'tcp', version: 'v1' },
          },
          {
            port: 50051,
            servicePort: 15051,
            serviceAddress: 'localhost',
            tags: { 'kuma.io/service': 'rpc', 'kuma.io/protocol': 'grpc' },
          },
        ],
      },
    }),
    scene.put(zoned('east', 'Dataplane', 'other-1'), {
      networking: {
        ...sidecar('10.0.0.8', 'other').networking,
        outbound: [
          { port: 9001, tags: { 'kuma.io/service': 'echo', version: 'v2' } },
          { port: 9002, tags: { 'kuma.io/service': 'nowhere' } },
        ],
      },
    }),
    scene.put(global('MeshTrafficPermission', 'mixed'), {
      from: [
        {
          targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'client', team: '*' } },
          default: { action: 'Allow' },
        },
        { targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/zone': 'north' } }, default: { action: 'Deny' } },
      ],
    }),
    scene.put(global('Retry', 'all'), {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': '*' } }],
      conf: {
        http: {
          numRetries: 2,
          backOff: { baseInterval: '10ms' },
          retriableStatusCodes: [500],
          retriableMethods: ['GET'],
          retryOn: ['all_5xx'],
        },
        tcp: { maxConnectAttempts: 0 },
      },
    }),
    scene.put(
      global('MeshGateway', 'edge-gateway'),
      meshGateway([
        { port: 18080, protocol: 'HTTP', tags: { port: 'http' } },
        { port: 18080, protocol: 'HTTP', hostname: '*.example.com' },
        { port: 18081, protocol: 'HTTP', hostname: 'only.example.com' },
        { port: 18090, protocol: 'TCP', resources: { connectionLimit: 7 } },
        { port: 18091, protocol: 'TCP', tags: { port: 'tcp' } },
        ...['', 'a.example.com', '*.example.com'].map((hostname) => ({
          port: 18443,
          protocol: 'HTTPS',
          hostname,
          tls: { mode: 'TERMINATE', certificates: [{ secret: 'edge' }, { secret: 'edge-ecdsa' }], options: {} },
        })),
        { port: 18444, protocol: 'TLS', hostname: 'p.example.com', tls: { mode: 'PASSTHROUGH' } },
        { port: 18444, protocol: 'TLS', tls: { mode: 'TERMINATE', certificates: [{ secret: 'edge' }] } },
        { port: 18445, protocol: 'TLS', tags: { port: 'nowhere' }, tls: { mode: 'PASSTHROUGH' } },
        { port: 18500, protocol: 'HTTP', hostname: 'cross.test', crossMesh: true },
        { port: 18500, protocol: 'HTTP', crossMesh: true },
      ]),
    ),
    scene.put(global('Mesh', 'shop', ''), mtlsMesh(mode)),
    scene.put(zoned('east', 'VirtualAddress', '@cross.test'), { number: 7 }),
    scene.put(zoned('west', 'Dataplane', 'edge-gateway-2'), builtinGateway('127.42.0.1')),
    scene.put(zoned('east', 'Dataplane', 'shop-1', 'shop'), {
      networking: {
        ...sidecar('10.0.0.11', 'shop').networking,
        outbound: [{ port: 9003, tags: { 'kuma.io/service': 'edge-gateway', 'kuma.io/mesh': 'default' } }],
      },
    }),
    ...(['rsa', 'ecdsa'] as const).map((keyType) => {
      const secret = keyType === 'rsa' ? 'edge' : 'edge-ecdsa'
      const spec = { secret, zone: 'east', keyType, names: [], notAfterMs: 1, fingerprint: 'f', sealed: 's' }
      return scene.put(global('GatewayCertificate', `${secret}.east`), spec)
    }),
    scene.put(global('MeshGatewayRoute', 'tcp'), {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
      conf: {
        tcp: {
          rules: [
            { backends: [{ destination: { 'kuma.io/service': 'db' } }] },
            { backends: [{ weight: 3, destination: { 'kuma.io/service': 'echo' } }] },
          ],
        },
      },
    }),
    scene.put(global('MeshGatewayRoute', 'many'), {
      selectors: [{ match: { 'kuma.io/service': '*' } }],
      conf: {
        http: {
          hostnames: ['a.example.com', '*.test'],
          rules: [
            {
              matches: [
                { path: { match: 'REGEX', value: '/r/[0-9]+' }, method: 'GET' },
                {
                  path: { match: 'PREFIX', value: '/p/' },
                  headers: [{ name: 'x-a', value: '1' }],
                  queryParameters: [{ name: 'q', value: '2' }],
                },
              ],
              filters: [
                {
                  requestHeader: {
                    set: [
                      { name: 'host', value: 'h' },
                      { name: 'x-b', value: 'c' },
                    ],
                    add: [{ name: 'x-d', value: 'e' }],
                    remove: ['x-f'],
                  },
                },
              ],
              backends: [
                { weight: 9, destination: { 'kuma.io/service': 'echo', version: 'v1', 'kuma.io/protocol': 'http2' } },
                { weight: 0, destination: { 'kuma.io/service': 'kuma.io/unresolved-backend' } },
              ],
            },
          ],
        },
      },
    }),
  )
  return { scene, versions }
}

const proxies = [
  ['east', 'east/Dataplane/default/edge-gateway-1'],
  ['east', 'east/Dataplane/default/client-1'],
  ['east', 'east/Dataplane/default/other-1'],
  ['east', 'east/Dataplane/shop/shop-1'],
  ['west', 'west/Dataplane/default/echo-1'],
  ['west', 'west/Dataplane/default/db-1'],
  ['west', 'west/ZoneIngress//ingress-west'],
] as const

const adsCluster = {
  name: 'ads_cluster',
  type: 'STATIC',
  load_assignment: {
    cluster_name: 'ads_cluster',
    endpoints: [
      { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 5678 } } } }] },
    ],
  },
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
}

test('C5 Envoy accepts the configuration that a full scene compiles to', () => {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-validate-'))
  try {
    for (const mode of ['STRICT', 'PERMISSIVE'] as const) {
      for (const [zone, proxy] of proxies) {
        const { scene, versions } = fullScene(mode)
        const compiler = createCompiler({ zone })
        compiler.apply(versions, scene.revision)
        const table = compiler.table(proxy, { part: 1, canBindPort80: true })
        const tables = Object.values(decoded(table, typeUrls.route))
        const bootstrap = {
          node: { id: 'n', cluster: 'c' },
          layered_runtime: {
            // There is one layer, and the tests declare only the fields that they read.
            layers: (Object.values(decoded(table, typeUrls.runtime)) as { name: string; layer: object }[]).map(
              (one) => ({
                name: one.name,
                static_layer: one.layer,
              }),
            ),
          },
          dynamic_resources: {
            ads_config: {
              api_type: 'DELTA_GRPC',
              transport_api_version: 'V3',
              grpc_services: [{ envoy_grpc: { cluster_name: 'ads_cluster' } }],
            },
          },
          static_resources: {
            clusters: [adsCluster, ...Object.values(decoded(table, typeUrls.cluster))],
            listeners: [
              ...Object.values(decoded(table, typeUrls.listener)),
              ...tables.map((one, at) => withTable(one, 20_000 + at)),
            ],
          },
        }
        const file = join(folder, 'bootstrap.json')
        writeFileSync(file, JSON.stringify(bootstrap))
        const run = spawnSync(binary ?? '', ['--mode', 'validate', '-c', file, '-l', 'error'], { encoding: 'utf8' })
        expect({ proxy, mode, errors: run.stderr, status: run.status }).toEqual({ proxy, mode, errors: '', status: 0 })
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
