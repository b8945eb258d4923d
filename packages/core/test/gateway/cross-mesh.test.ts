import { expect, test } from 'vitest'
import { createCompiler, rowVersion } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import {
  builtinGateway,
  createScene,
  global,
  httpRoute,
  meshGateway,
  mtlsMesh,
  prefixRule,
  type Scene,
  sidecar,
  zoned,
} from '../compile/scene.ts'

const service = 'edge-gateway'
const port = 'zonemesh.io/port'
const cross = (number: number, more: object = {}) => ({ port: number, protocol: 'HTTP', crossMesh: true, ...more })
const crossing = { 'kuma.io/service': service, 'kuma.io/mesh': 'default' }
const outbound = (number: number, tags: Record<string, string> = {}) => ({
  port: number,
  tags: { ...crossing, ...tags },
})

/** A gateway of mesh "default" in zone west and one in zone east, and a client of mesh "shop" in zone east. */
function world(
  zone: 'east' | 'west',
  listeners: readonly object[],
  build: (scene: Scene) => unknown = () => undefined,
) {
  const scene = createScene()
  scene.put(global('Mesh', 'default', ''), mtlsMesh())
  scene.put(global('Mesh', 'shop', ''), mtlsMesh())
  for (const name of ['east', 'west']) scene.put(global('Zone', name, ''), { enabled: true })
  scene.put(global('MeshGateway', 'api'), meshGateway(listeners))
  scene.put(global('MeshGatewayRoute', 'root'), httpRoute([prefixRule('/', 'echo')]))
  scene.put(zoned('east', 'Dataplane', 'gateway-e'), builtinGateway('10.0.0.1'))
  scene.put(zoned('west', 'Dataplane', 'gateway-w'), builtinGateway('10.1.0.1'))
  scene.put(zoned('west', 'ZoneIngress', 'in', ''), {
    networking: { address: '10.1.0.2', port: 10001, advertisedAddress: '10.1.0.2', advertisedPort: 10001 },
  })
  scene.put(
    zoned('east', 'Dataplane', 'client', 'shop'),
    sidecar('10.0.0.9', 'client', {}, { outbound: [outbound(9000)] }),
  )
  build(scene)
  const compiler = createCompiler({ zone })
  compiler.apply(scene.all(), scene.revision)
  return {
    scene,
    compiler,
    table: (proxy: string, part?: number) =>
      compiler.table(`${zone}/${proxy}`, { canBindPort80: true, ...(part === undefined ? {} : { part }) }),
  }
}

const client = 'Dataplane/shop/client'
const announced = (scene: Scene, name: string, tags: Record<string, string>) =>
  scene.put(zoned('west', 'AvailableService', name), {
    tags: { ...crossing, 'kuma.io/zone': 'west', ...tags },
    instances: 1,
  })

interface AssignmentJson {
  readonly endpoints?: readonly {
    readonly lb_endpoints: readonly {
      readonly endpoint: {
        readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } }
      }
    }[]
  }[]
}

/** The endpoints of each cluster. */
function waysOf(table: ReturnType<ReturnType<typeof world>['table']>): Record<string, string[]> {
  // The tests declare the fields of the decoded messages that they read.
  const assignments = decoded(table, typeUrls.assignment) as Record<string, AssignmentJson>
  return Object.fromEntries(
    Object.entries(assignments).map(([name, { endpoints = [] }]) => [
      name,
      endpoints
        .flatMap((group) => group.lb_endpoints)
        .map(({ endpoint: { address } }) => `${address.socket_address.address}:${address.socket_address.port_value}`),
    ]),
  )
}

const first = <T>(values: Record<string, T>): T | undefined => Object.values(values)[0]

test('GW20 the gateway terminates TLS of all meshes with its own identity, and serves its hosts like an HTTPS listener', () => {
  const table = world('east', [cross(80, { hostname: 'a.test' }), cross(80, { hostname: 'b.test' })]).table(
    'Dataplane/default/gateway-e',
  )
  const listener = decoded(table, typeUrls.listener)['api:HTTP:80']
  expect(listener).toMatchObject({
    listener_filters: [{ name: 'envoy.filters.listener.tls_inspector' }],
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: 'tls', application_protocols: ['kuma'] },
        transport_socket: {
          typed_config: {
            require_client_certificate: true,
            common_tls_context: {
              tls_certificate_sds_secret_configs: [{ name: 'identity_cert:secret:default' }],
              validation_context_sds_secret_config: { name: 'mesh_ca:secret:all' },
            },
          },
        },
      },
    ],
  })
  expect(JSON.stringify(listener)).not.toContain('subject_alt_names')
  expect(decoded(table, typeUrls.route)['api:HTTP:80:*']).toMatchObject({
    virtual_hosts: [
      { domains: ['b.test'], require_tls: 'ALL' },
      { domains: ['a.test'], require_tls: 'ALL' },
    ],
  })
  expect(table?.secretNeeds.map((need) => need.name)).toEqual([
    'identity_cert:secret:default',
    'mesh_ca:secret:default',
    'mesh_ca:secret:all',
  ])
  expect(table?.resources.get(typeUrls.listener)?.get('api:HTTP:80')?.secrets).toEqual([
    'identity_cert:secret:default',
    'mesh_ca:secret:all',
  ])
})

test('GW21 a redirect of a crossMesh listener uses http, because the client application speaks HTTP', () => {
  const { table } = world('east', [cross(8080)], (scene) =>
    scene.put(
      global('MeshGatewayRoute', 'moved'),
      httpRoute([
        { matches: [{ path: { match: 'PREFIX', value: '/m' } }], filters: [{ redirect: { statusCode: 302 } }] },
      ]),
    ),
  )
  expect(JSON.stringify(decoded(table('Dataplane/default/gateway-e'), typeUrls.route))).toContain(
    '"scheme_redirect":"http"',
  )
})

test('GW22 the client presents its own identity to the gateway of the other mesh, and verifies the gateway with the authority of that mesh', () => {
  const table = world('east', [cross(80)]).table(client)
  const clusters = decoded(table, typeUrls.cluster)
  const name = Object.keys(clusters).find((one) => one.startsWith(service)) ?? ''
  expect(name).toMatch(/^edge-gateway-[0-9a-f]{16}_default$/)
  expect(clusters[name]).toMatchObject({
    transport_socket: {
      typed_config: {
        sni: 'edge-gateway{mesh=default}',
        common_tls_context: {
          alpn_protocols: ['kuma'],
          tls_certificate_sds_secret_configs: [{ name: 'identity_cert:secret:shop' }],
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: [{ matcher: { exact: 'spiffe://default/edge-gateway' } }],
            },
            validation_context_sds_secret_config: { name: 'mesh_ca:secret:default' },
          },
        },
      },
    },
    typed_extension_protocol_options: expect.objectContaining({}),
  })
  expect(table?.secretNeeds).toEqual([
    expect.objectContaining({ name: 'identity_cert:secret:shop' }),
    { type: 'authority', name: 'mesh_ca:secret:shop', mesh: 'shop' },
    { type: 'authority', name: 'mesh_ca:secret:default', mesh: 'default', standIn: 'shop' },
  ])
})

test.each<[string, readonly object[], Record<string, string>, (scene: Scene) => unknown, string[]]>([
  ['a gateway of the own zone', [cross(80)], {}, () => 0, ['10.0.0.1:80']],
  ['hosts of one port share one address', [cross(80, { hostname: 'a.test' }), cross(80)], {}, () => 0, ['10.0.0.1:80']],
  ['all ports, if no tag distinguishes them', [cross(80), cross(81)], {}, () => 0, ['10.0.0.1:80', '10.0.0.1:81']],
  ['one port', [cross(80), cross(81)], { [port]: '81' }, () => 0, ['10.0.0.1:81']],
  ['listeners with these tags', [cross(80), cross(81, { tags: { a: 'b' } })], { a: 'b' }, () => 0, ['10.0.0.1:81']],
  ['other listeners of a gateway', [{ port: 80, protocol: 'HTTP' }], {}, () => 0, []],
  [
    'another zone, through its ingress',
    [cross(80)],
    {},
    (s) => announced(s, 'x', { [port]: '80' }),
    ['10.0.0.1:80', '10.1.0.2:10001'],
  ],
  [
    'another port in another zone',
    [cross(80)],
    { [port]: '80' },
    (s) => announced(s, 'x', { [port]: '81' }),
    ['10.0.0.1:80'],
  ],
  [
    'a service of that name, without the mesh in its tags',
    [cross(80)],
    {},
    (s) => [
      s.put(zoned('east', 'Dataplane', 'same'), sidecar('10.0.0.5', service)),
      s.put(zoned('west', 'AvailableService', 'y'), { tags: { 'kuma.io/service': service }, instances: 3 }),
    ],
    ['10.0.0.1:80'],
  ],
  [
    'a mesh without mutual TLS',
    [cross(80)],
    {},
    (s) => [announced(s, 'x', {}), s.put(global('Mesh', 'default', ''), {})],
    [],
  ],
])('GW22 the destination of a client: %s', (_title, listeners, tags, build, expected) => {
  const { table } = world('east', listeners, (scene) => {
    scene.put(zoned('east', 'Dataplane', 'client', 'shop'), {
      ...sidecar('10.0.0.9', 'client', {}, { outbound: [outbound(9000, tags)] }),
    })
    build(scene)
  })
  expect(first(waysOf(table(client))) ?? []).toEqual(expected)
})

test('GW22 a route of a gateway reaches a gateway of another mesh like an outbound does', () => {
  const { table } = world('east', [cross(80)], (scene) => {
    scene.put(global('MeshGateway', 'front', 'shop'), meshGateway([{ port: 9000, protocol: 'HTTP' }]))
    const rule = { ...prefixRule('/'), backends: [{ destination: crossing }] }
    scene.put(global('MeshGatewayRoute', 'front', 'shop'), httpRoute([rule]))
    scene.put(zoned('east', 'Dataplane', 'front', 'shop'), builtinGateway('10.0.0.4'))
    announced(scene, 'x', { [port]: '80' })
  })
  const found = table('Dataplane/shop/front')
  expect(Object.values(waysOf(found))).toEqual([['10.0.0.1:80', '10.1.0.2:10001']])
  expect(found?.secretNeeds.map((need) => need.name)).toEqual([
    'identity_cert:secret:shop',
    'mesh_ca:secret:shop',
    'mesh_ca:secret:default',
  ])
  expect(JSON.stringify(decoded(found, typeUrls.cluster))).toContain('"sni":"edge-gateway{mesh=default}"')
})

test('GW22 a destination without a mesh tag never selects a gateway', () => {
  const { table } = world('east', [cross(80)], (scene) => {
    announced(scene, 'x', { [port]: '80' })
    scene.put(
      zoned('east', 'Dataplane', 'own'),
      sidecar('10.0.0.9', 'own', {}, { outbound: [{ port: 9000, tags: { 'kuma.io/service': service } }] }),
    )
  })
  expect(waysOf(table('Dataplane/default/own'))).toEqual({ 'edge-gateway': [] })
})

test.each(['default', 'shop'])('GW22 if mesh "%s" has no mutual TLS, the outbound is left out and reported', (mesh) => {
  const { table } = world('east', [cross(80)], (scene) => scene.put(global('Mesh', mesh, ''), {}))
  expect(Object.keys(decoded(table(client), typeUrls.listener))).toEqual(['inbound:10.0.0.9:10080'])
  expect(table(client)?.problems).toContainEqual({
    source: 'east/Dataplane/shop/client',
    reason: `networking.outbound 9000: crossMesh needs mutual TLS in mesh "${mesh}"`,
  })
})

test('GW20 a mesh named "all" has no crossMesh listeners, because the bundle of all authorities has this name', () => {
  const { table } = world('east', [], (scene) => {
    scene.put(global('Mesh', 'all', ''), mtlsMesh())
    scene.put(global('MeshGateway', 'api', 'all'), meshGateway([cross(80)]))
    scene.put(zoned('east', 'Dataplane', 'g', 'all'), builtinGateway('10.0.0.3'))
  })
  const found = table('Dataplane/all/g')
  expect(decoded(found, typeUrls.listener)).toEqual({})
  expect(found?.problems).toEqual([
    {
      source: 'global/MeshGateway/all/api',
      reason: expect.stringContaining('is not served in a mesh that is named "all"'),
    },
  ])
})

test('GW23 an ingress routes each tag set to the ports that have it, also for several hosts of one port', () => {
  const { table } = world('west', [
    cross(80, { hostname: 'a.test', tags: { host: 'a' } }),
    cross(80, { hostname: 'b.test', tags: { host: 'b' } }),
    cross(81),
  ])
  const found = table('ZoneIngress//in')
  interface ListenerJson {
    readonly filter_chains: readonly {
      readonly filter_chain_match: { readonly server_names: readonly string[] }
      readonly filters: readonly {
        readonly typed_config: { readonly cluster: string; readonly metadata_match?: object }
      }[]
    }[]
  }
  // The tests declare the fields of the decoded listener that they read.
  const [listener] = Object.values(decoded(found, typeUrls.listener)) as ListenerJson[]
  const assignments = decoded(found, typeUrls.assignment) as Record<string, AssignmentJson>
  const waysBySni = Object.fromEntries(
    (listener?.filter_chains ?? []).map(({ filter_chain_match: match, filters }) => {
      const { endpoints = [] } = assignments[filters[0]?.typed_config.cluster ?? ''] ?? {}
      expect(filters[0]?.typed_config.metadata_match).toBeUndefined()
      return [
        match.server_names[0],
        endpoints.flatMap((group) => group.lb_endpoints.map((one) => one.endpoint.address.socket_address.port_value)),
      ]
    }),
  )
  expect(waysBySni).toMatchObject({
    'edge-gateway{mesh=default}': [80, 81],
    'edge-gateway{host=a,mesh=default}': [80],
    'edge-gateway{host=b,mesh=default,zonemesh.io/port=80}': [80],
    'edge-gateway{host=b,kuma.io/zone=west,mesh=default,zonemesh.io/port=80}': [80],
    'edge-gateway{mesh=default,zonemesh.io/port=81}': [81],
  })
  expect(Object.keys(decoded(found, typeUrls.cluster))).toContain('default:edge-gateway')
})

test('GW23 if a service and a gateway have the same name, an ingress routes to the service and reports a problem', () => {
  const { table } = world('west', [cross(80)], (scene) =>
    scene.put(zoned('west', 'Dataplane', 'same'), sidecar('10.1.0.5', service)),
  )
  const found = table('ZoneIngress//in')
  expect(waysOf(found)).toEqual({ 'default:edge-gateway': ['10.1.0.5:10080'] })
  expect(found?.problems.map((one) => one.source)).toEqual(['default/edge-gateway'])
})

test('GW25 a quarantined Mesh holds back its own proxies, but not proxies of other meshes that call its gateways', () => {
  const made = world('east', [cross(80)], (scene) =>
    scene.put(zoned('east', 'VirtualAddress', '@internal.api.default.mesh'), { number: 5 }),
  )
  const before = made.table(client, 0)
  expect(made.table('Dataplane/default/gateway-e')).toBeDefined()
  const row = made.scene.all().find(({ key }) => key.kind === 'Mesh' && key.name === 'default')?.row
  made.compiler.hold('global/Mesh//default', row ? rowVersion(row.stamp) : '')
  expect(made.table('Dataplane/default/gateway-e')).toBeUndefined()
  expect(made.table(client, 0)?.resources).toEqual(before?.resources)
  expect(virtual(made.table(client, 0))).toEqual(['outbound:127.128.0.5:80'])
  const west = world('west', [cross(80)])
  west.compiler.hold('global/Mesh//default', row ? rowVersion(row.stamp) : '')
  expect(waysOf(west.table('ZoneIngress//in'))['default:edge-gateway']).toEqual(['10.1.0.1:80'])
})

/** Listeners of the client's virtual addresses, in part 0. */
const virtual = (table: ReturnType<ReturnType<typeof world>['table']>) =>
  Object.keys(decoded(table, typeUrls.listener)).filter((name) => name.startsWith('outbound:127.128.'))

test('GW24 a client has a listener for each host and port, which leads only to this port', () => {
  const numbers = (scene: Scene) => {
    scene.put(zoned('east', 'VirtualAddress', '@a.test'), { number: 5 })
    scene.put(zoned('east', 'VirtualAddress', '@internal.api.default.mesh'), { number: 6 })
  }
  const listeners = [cross(8080, { hostname: 'a.test' }), cross(8081), cross(80, { hostname: 'a.test' })]
  const { table, compiler, scene } = world('east', listeners, numbers)
  expect(virtual(table(client, 0))).toEqual([
    'outbound:127.128.0.5:8080',
    'outbound:127.128.0.6:8081',
    'outbound:127.128.0.5:80',
  ])
  expect(Object.values(waysOf(table(client, 0)))).toContainEqual(['10.0.0.1:8081'])
  expect(table(client, 0)?.secretNeeds.map((need) => need.name)).toContain('mesh_ca:secret:default')
  // A released address, or a mesh without mutual TLS, has no listener.
  compiler.apply(
    [scene.put(zoned('east', 'VirtualAddress', '@a.test'), { number: 5, releasedAtMs: 1 })],
    scene.revision,
  )
  expect(virtual(table(client, 0))).toEqual(['outbound:127.128.0.6:8081'])
  compiler.apply([scene.put(global('Mesh', 'default', ''), {})], scene.revision)
  expect(virtual(table(client, 0))).toEqual([])
})

test('GW24 a client with reachable services has listeners only for these', () => {
  const reachable = (services: readonly string[]) =>
    world('east', [cross(8080, { hostname: 'a.test' })], (scene) => {
      scene.put(zoned('east', 'VirtualAddress', '@a.test'), { number: 5 })
      const more = { transparentProxying: { reachableServices: services } }
      scene.put(zoned('east', 'Dataplane', 'client', 'shop'), sidecar('10.0.0.9', 'client', {}, more))
    }).table(client, 0)
  expect(virtual(reachable(['other']))).toEqual([])
  expect(virtual(reachable([service]))).toEqual(['outbound:127.128.0.5:8080'])
})

test('L13 a change of crossMesh listeners wakes clients of all meshes, and a change of another gateway wakes none', () => {
  const { compiler, scene, table } = world('east', [cross(8080)], (made) =>
    made.put(zoned('east', 'VirtualAddress', '@internal.api.default.mesh'), { number: 5 }),
  )
  table(client, 0)
  const apply = (name: string, listeners: readonly object[], of?: string) =>
    compiler.apply([scene.put(global('MeshGateway', name), meshGateway(listeners, of))], scene.revision)
  expect([...apply('plain', [{ port: 80, protocol: 'HTTP' }], 'other')]).toEqual([])
  expect([...apply('api', [cross(8080), cross(8081)])]).toContain('east/Dataplane/shop/client')
})
