import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { type ProxyFacts, typeUrls } from '../../src/emit/table.ts'
import { createScene, global, mtlsMesh, type Scene, sidecar, zoned } from '../compile/scene.ts'

const proxy = 'east/Dataplane/default/p'

function compiled(
  spec: unknown,
  build: (scene: Scene) => readonly Version[] = () => [],
  facts: ProxyFacts = { canBindPort80: true },
) {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply([scene.put(zoned('east', 'Dataplane', 'p'), spec), ...build(scene)], scene.revision)
  const table = compiler.table(proxy, facts)
  return {
    scene,
    compiler,
    table,
    listeners: decoded(table, typeUrls.listener) as Record<string, ListenerJson>, // the tests read what they need
    clusters: decoded(table, typeUrls.cluster),
    problems: (table?.problems ?? []).map((one) => one.reason),
  }
}

interface ChainJson {
  readonly filter_chain_match?: {
    readonly transport_protocol?: string
    readonly application_protocols?: readonly string[]
  }
  readonly transport_socket?: { readonly typed_config: { readonly require_client_certificate?: boolean } }
  readonly filters: readonly { readonly name: string; readonly typed_config: ManagerJson }[]
}
interface ManagerJson {
  readonly http_filters?: readonly { readonly name: string; readonly typed_config: { readonly rules?: RulesJson } }[]
  readonly rules?: RulesJson
  readonly cluster?: string
  readonly max_connect_attempts?: number
  readonly route_config?: { readonly name: string; readonly request_headers_to_remove?: readonly string[] }
}
interface RulesJson {
  readonly policies?: Record<string, { readonly principals: readonly object[] }>
}
interface ListenerJson {
  readonly filter_chains: readonly ChainJson[]
  readonly enable_reuse_port: boolean
  readonly listener_filters?: readonly object[]
}

const inboundName = 'inbound:10.0.0.1:10080'
const mesh = (scene: Scene, spec: object = mtlsMesh()) => scene.put(global('Mesh', 'default', ''), spec)
const tcp = (tags: Record<string, string> = {}) => sidecar('10.0.0.1', 'web', { 'kuma.io/protocol': 'tcp', ...tags })

test('SC1 an HTTP inbound has its own route that removes x-kuma-tags, and access control before the router', () => {
  const { listeners, clusters } = compiled(sidecar('10.0.0.1', 'web'), (s) => [mesh(s)])
  const [chain] = listeners[inboundName]?.filter_chains ?? []
  const manager = chain?.filters[0]?.typed_config
  expect(chain?.transport_socket?.typed_config.require_client_certificate).toBe(true)
  expect(manager?.route_config).toMatchObject({ name: 'inbound:web', request_headers_to_remove: ['x-kuma-tags'] })
  expect(manager?.http_filters?.map((one) => one.name)).toEqual([
    'envoy.filters.http.rbac',
    'envoy.filters.http.router',
  ])
  expect(clusters['localhost:8080']).toMatchObject({
    type: 'STATIC',
    connect_timeout: '10s',
    alt_stat_name: 'localhost_8080',
  })
  expect(listeners[inboundName]?.enable_reuse_port).toBe(false)
})

test('SC2 a TCP inbound has network access control before the proxy filter', () => {
  const { listeners } = compiled(tcp(), (s) => [mesh(s)])
  const [chain] = listeners[inboundName]?.filter_chains ?? []
  expect(chain?.filters.map((one) => one.name)).toEqual([
    'envoy.filters.network.rbac',
    'envoy.filters.network.tcp_proxy',
  ])
  expect(chain?.filters[1]?.typed_config.cluster).toBe('localhost:8080')
})

test('SC3 a PERMISSIVE inbound passes plain text and foreign TLS, and checks only connections of the mesh', () => {
  const { listeners } = compiled(tcp(), (s) => [mesh(s, mtlsMesh('PERMISSIVE'))])
  const chains = listeners[inboundName]?.filter_chains ?? []
  expect(chains.map((chain) => chain.filter_chain_match)).toEqual([
    { transport_protocol: 'raw_buffer' },
    { transport_protocol: 'tls' },
    { transport_protocol: 'tls', application_protocols: ['kuma'] },
  ])
  expect(chains.map((chain) => chain.filters.length)).toEqual([1, 1, 2])
  expect(listeners[inboundName]?.listener_filters).toHaveLength(1)
})

test('SC4 without mutual TLS an inbound has no TLS, no access control and no secrets', () => {
  const { listeners, table } = compiled(tcp(), (s) => [mesh(s, {})])
  const [chain] = listeners[inboundName]?.filter_chains ?? []
  expect(chain?.transport_socket).toBeUndefined()
  expect(chain?.filters).toHaveLength(1)
  expect(table?.secretNeeds).toEqual([])
})

const spiffe = (service: string) => ({ authenticated: { principal_name: { exact: `spiffe://default/${service}` } } })
const kuma = (tag: string, value: string) => ({
  authenticated: { principal_name: { exact: `kuma://${tag}/${value}` } },
})
const allow = (scene: Scene, name: string, source: Record<string, string>, destination: Record<string, string>) =>
  scene.put(global('TrafficPermission', name), { sources: [{ match: source }], destinations: [{ match: destination }] })
const meshPermission = (scene: Scene, name: string, ...from: readonly (readonly [object, string])[]) =>
  scene.put(global('MeshTrafficPermission', name), {
    from: from.map(([targetRef, action]) => ({ targetRef, default: { action } })),
  })
const subset = (tags: Record<string, string>) => ({ kind: 'MeshSubset', tags })
const any = { 'kuma.io/service': '*' }

test.each<[string, (scene: Scene) => readonly Version[], Record<string, readonly object[]>]>([
  ['no permission allows no caller', () => [], {}],
  ['a service', (s) => [allow(s, 'tp', { 'kuma.io/service': 'a' }, any)], { 'TrafficPermission:tp': [spiffe('a')] }],
  ['any service', (s) => [allow(s, 'tp', any, any)], { 'TrafficPermission:tp': [{ any: true }] }],
  [
    'a service and a tag',
    (s) => [allow(s, 'tp', { 'kuma.io/service': 'a', version: 'v1' }, any)],
    { 'TrafficPermission:tp': [{ and_ids: { ids: [spiffe('a'), kuma('version', 'v1')] } }] },
  ],
  ['another destination', (s) => [allow(s, 'tp', any, { 'kuma.io/service': 'other' })], {}],
  [
    'a destination by tags',
    (s) => [allow(s, 'tp', { 'kuma.io/service': 'a' }, { 'kuma.io/service': 'web', 'kuma.io/zone': 'east' })],
    { 'TrafficPermission:tp': [spiffe('a')] },
  ],
  [
    'the union of all matching permissions',
    (s) => [
      allow(s, 'one', { 'kuma.io/service': 'a' }, any),
      allow(s, 'two', { 'kuma.io/service': 'b' }, { 'kuma.io/service': 'web' }),
    ],
    { 'TrafficPermission:one': [spiffe('a')], 'TrafficPermission:two': [spiffe('b')] },
  ],
  [
    'a mesh',
    (s) => [meshPermission(s, 'm', [{ kind: 'Mesh' }, 'Allow'])],
    { 'MeshTrafficPermission:m': [{ any: true }] },
  ],
  [
    'a subset, and a shadow denial that allows',
    (s) => [meshPermission(s, 'm', [subset({ 'kuma.io/zone': 'west' }), 'AllowWithShadowDeny'])],
    { 'MeshTrafficPermission:m': [kuma('kuma.io/zone', 'west')] },
  ],
  [
    'a denial beats every permission',
    (s) => [
      meshPermission(s, 'm', [{ kind: 'Mesh' }, 'Allow'], [subset({ team: 'red' }), 'Deny']),
      allow(s, 'tp', { 'kuma.io/service': 'a' }, any),
    ],
    {
      'MeshTrafficPermission:m': [
        { and_ids: { ids: [{ any: true }, { not_id: { or_ids: { ids: [kuma('team', 'red')] } } }] } },
      ],
      'TrafficPermission:tp': [
        { and_ids: { ids: [spiffe('a'), { not_id: { or_ids: { ids: [kuma('team', 'red')] } } }] } },
      ],
    },
  ],
  ['a denial alone allows no caller', (s) => [meshPermission(s, 'm', [subset({ team: 'red' }), 'Deny'])], {}],
])('SC5 the callers that permissions allow: %s', (_title, build, expected) => {
  const { listeners } = compiled(tcp(), (s) => [mesh(s), ...build(s)])
  const rules = listeners[inboundName]?.filter_chains[0]?.filters[0]?.typed_config.rules
  expect(rules).toBeDefined()
  const found = Object.entries(rules?.policies ?? {}).map(([name, policy]) => [name, policy.principals])
  expect(Object.fromEntries(found)).toEqual(expected)
})

const inbound = (one: object) => ({
  networking: { address: '10.0.0.1', inbound: [{ port: 10080, tags: { 'kuma.io/service': 'web' }, ...one }] },
})

test.each<[string, object, string | undefined]>([
  ['the address of the proxy', { servicePort: 8080 }, '10.0.0.1:8080'],
  ['the serviceAddress', { servicePort: 8080, serviceAddress: '10.0.0.2' }, '10.0.0.2:8080'],
  ['loopback if the address would be the proxy itself', {}, '127.0.0.1:10080'],
  ['none if serviceAddress is the proxy itself', { serviceAddress: '10.0.0.1' }, undefined],
  ['none if it is the proxy itself on loopback', { address: '127.0.0.1' }, undefined],
])('SC6 the address of the service behind an inbound: %s', (_title, one, expected) => {
  const { clusters, problems } = compiled(inbound(one))
  const [cluster] = Object.values(clusters) as {
    load_assignment: {
      endpoints: {
        lb_endpoints: { endpoint: { address: { socket_address: { address: string; port_value: number } } } }[]
      }[]
    }
  }[]
  const at = cluster?.load_assignment.endpoints[0]?.lb_endpoints[0]?.endpoint.address.socket_address
  expect(at && `${at.address}:${at.port_value}`).toBe(expected)
  expect(problems).toHaveLength(expected ? 0 : 1)
})

const outboundTo = (...outbound: readonly object[]) => sidecar('10.0.0.1', 'web', {}, { outbound })
const service = (scene: Scene, name: string, protocol: string, address = '10.0.0.20') =>
  scene.put(zoned('east', 'Dataplane', `${name}-${address}`), sidecar(address, name, { 'kuma.io/protocol': protocol }))

test.each([
  ['http', ['http'], 'envoy.filters.network.http_connection_manager'],
  ['grpc', ['grpc'], 'envoy.filters.network.http_connection_manager'],
  ['tcp', ['tcp'], 'envoy.filters.network.tcp_proxy'],
  ['grpc and http2', ['grpc', 'http2'], 'envoy.filters.network.http_connection_manager'],
  ['http and tcp', ['http', 'tcp'], 'envoy.filters.network.tcp_proxy'],
  ['nothing', [], 'envoy.filters.network.tcp_proxy'],
])('SC7 the protocol of an outbound, if the instances speak %s', (_title, protocols, filter) => {
  const { listeners, clusters } = compiled(outboundTo({ port: 9000, tags: { 'kuma.io/service': 'api' } }), (s) =>
    protocols.map((protocol, at) => service(s, 'api', protocol, `10.0.0.${20 + at}`)),
  )
  expect(listeners['outbound:127.0.0.1:9000']?.filter_chains[0]?.filters.map((one) => one.name)).toEqual([filter])
  expect(Object.keys(clusters).sort()).toEqual(['api', 'localhost:8080'])
})

test('SC8 an outbound with tags has its own cluster and endpoints', () => {
  const { clusters, table } = compiled(
    outboundTo({ port: 9000, tags: { 'kuma.io/service': 'api', version: 'v2' } }),
    (s) => [mesh(s)],
  )
  const name = Object.keys(clusters).find((one) => /^api-[0-9a-f]{16}$/.test(one)) ?? ''
  expect(clusters[name]).toMatchObject({ transport_socket: { typed_config: { sni: 'api{mesh=default,version=v2}' } } })
  expect([...(table?.resources.get(typeUrls.assignment)?.keys() ?? [])]).toEqual([name])
})

const named = (scene: Scene, name: string, number: number, more: object = {}) =>
  scene.put(zoned('east', 'VirtualAddress', name), { number, ...more })

const virtual = (spec: unknown, facts: ProxyFacts) => {
  const { listeners, problems } = compiled(
    spec,
    (s) => [
      named(s, 'a', 0),
      named(s, 'b_default_svc_8080', 300),
      named(s, 'gone', 2, { releasedAtMs: 1 }),
      named(s, 'far', 5000),
    ],
    facts,
  )
  return { names: Object.keys(listeners).filter((name) => name.startsWith('outbound:')), problems }
}

test('SC9 in loopback mode each number has an address in the range of the proxy, with port 80 and the port in the name', () => {
  const { names, problems } = virtual(tcp(), { part: 1, canBindPort80: true })
  expect(names.sort()).toEqual(['outbound:127.128.16.0:80', 'outbound:127.128.17.44:80', 'outbound:127.128.17.44:8080'])
  expect(problems).toEqual(["virtual address 5000 is beyond the range of this proxy's host"])
})

test('SC9 without the right to bind port 80 a service has only the port in its name, and without a range it has no virtual address', () => {
  expect(virtual(tcp(), { part: 1, canBindPort80: false }).names).toEqual(['outbound:127.128.17.44:8080'])
  expect(virtual(tcp(), { canBindPort80: true }).names).toEqual([])
})

test.each([
  [['a'], ['outbound:127.128.0.0:80']],
  [['*'], ['outbound:127.128.0.0:80', 'outbound:127.128.1.44:80', 'outbound:127.128.1.44:8080']],
  [['nobody'], []],
])('SC10 only reachable services have virtual addresses: %o', (reachableServices, expected) => {
  const { networking } = tcp()
  const spec = { networking: { ...networking, transparentProxying: { reachableServices } } }
  expect(virtual(spec, { part: 0, canBindPort80: true }).names.sort()).toEqual(expected)
})

test('SC11 a delegated gateway has outbounds and an identity, but no inbounds', () => {
  const gateway = {
    networking: {
      address: '10.0.0.1',
      gateway: { tags: { 'kuma.io/service': 'kong' } },
      outbound: [{ port: 9000, tags: { 'kuma.io/service': 'api' } }],
    },
  }
  const { listeners, table } = compiled(gateway, (s) => [mesh(s)])
  expect(Object.keys(listeners)).toEqual(['outbound:127.0.0.1:9000'])
  expect(table?.secretNeeds).toEqual([
    {
      type: 'identity',
      name: 'identity_cert:secret:default',
      mesh: 'default',
      services: ['kong'],
      tags: ['kuma.io/service/kong', 'kuma.io/zone/east'],
    },
    { type: 'authority', name: 'mesh_ca:secret:default', mesh: 'default' },
  ])
})

test.each<[string, object, readonly string[], readonly string[]]>([
  [
    'outbounds only',
    { outbound: [{ port: 9000, tags: { 'kuma.io/service': 'api' } }] },
    ['outbound:127.0.0.1:9000'],
    ['kuma.io/zone/east'],
  ],
  ['an inbound without tags', { inbound: [{ port: 10080, servicePort: 80 }] }, [inboundName], ['kuma.io/zone/east']],
  ['transparent proxying only', { transparentProxying: { redirectPortInbound: 15006 } }, [], ['kuma.io/zone/east']],
])('C4 a Dataplane with %s is served, with an identity of an unknown service', (_title, part, names, tags) => {
  const { listeners, table, problems } = compiled({ networking: { address: '10.0.0.1', ...part } }, (s) => [mesh(s)])
  expect([Object.keys(listeners), problems]).toEqual([names, []])
  expect(table?.secretNeeds[0]).toEqual({
    type: 'identity',
    name: 'identity_cert:secret:default',
    mesh: 'default',
    services: ['unknown'],
    tags,
  })
})

test('SC12 a table stays the same object until something changes, and a missing proxy has no table', () => {
  const { compiler, scene, table } = compiled(tcp())
  expect(compiler.table(proxy, { canBindPort80: true })).toBe(table)
  expect(compiler.apply([scene.put(global('Zone', 'far', ''), {})], scene.revision).size).toBe(0)
  expect(compiler.table(proxy, { canBindPort80: true })).toBe(table)
  expect(compiler.table('west/Dataplane/default/p', { canBindPort80: true })).toBeUndefined()
  expect([...compiler.apply([scene.remove(zoned('east', 'Dataplane', 'p'))], scene.revision)]).toEqual([proxy])
  expect(compiler.table(proxy, { canBindPort80: true })).toBeUndefined()
})

test('SC13 a proxy that connected before its row existed is reported when the row arrives', () => {
  const spec = tcp()
  const { compiler, scene } = compiled(spec)
  compiler.apply([scene.remove(zoned('east', 'Dataplane', 'p'))], scene.revision)
  expect(compiler.table(proxy, { canBindPort80: true })).toBeUndefined()
  expect([...compiler.apply([scene.put(zoned('east', 'Dataplane', 'p'), spec)], scene.revision)]).toEqual([proxy])
  expect(compiler.table(proxy, { canBindPort80: true })).toBeDefined()
  expect(compiler.apply([scene.put(zoned('west', 'Dataplane', 'p'), spec)], scene.revision).size).toBe(0)
})
