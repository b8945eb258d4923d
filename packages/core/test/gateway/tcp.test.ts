import { expect, test } from 'vitest'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { global, httpRoute, mtlsMesh, prefixRule, type Scene } from '../compile/scene.ts'
import { backend, chainsOf, compiled, gatewayKey, listener, tcpRoute } from './listener-scene.ts'

test('GW17 a TCP listener has one chain without a match, the default policies, and no filter that waits for the client', () => {
  const { table, listener: json } = compiled([listener(9000, 'TCP', { tags: { port: 'tcp/9000' } })], (scene) => [
    scene.put(global('Mesh', 'default', ''), mtlsMesh()),
    tcpRoute(scene, 'db', [[backend('db')]], { port: 'tcp/9000' }),
  ])
  const [name = ''] = Object.keys(decoded(table(), typeUrls.cluster))
  expect(name).toMatch(/^db-[0-9a-f]{16}$/)
  expect(json('edge:TCP:9000')).toEqual({
    name: 'edge:TCP:9000',
    address: { socket_address: { address: '10.0.0.5', port_value: 9000 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.tcp_proxy',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
              stat_prefix: 'edge-gateway',
              cluster: name,
              idle_timeout: '300s',
              max_connect_attempts: 5,
            },
          },
        ],
      },
    ],
    per_connection_buffer_limit_bytes: 32768,
    traffic_direction: 'INBOUND',
    enable_reuse_port: true,
  })
  // Mutual TLS as for HTTP, but no HTTP version.
  const cluster = decoded(table(), typeUrls.cluster)[name]
  expect(cluster).toMatchObject({ transport_socket: { name: 'envoy.transport_sockets.tls' } })
  expect(cluster).not.toHaveProperty('typed_extension_protocol_options')
  expect(Object.keys(decoded(table(), typeUrls.assignment))).toEqual([name])
  expect(table()?.problems).toEqual([])
})

test.each<[string, Record<string, readonly (readonly object[])[]>, string]>([
  ['the weight of a single backend does not matter', { a: [[backend('a', 0)]] }, 'a'],
  ['backends without weights are equal', { a: [[backend('a'), backend('b')]] }, 'a 1, b 1'],
  [
    'weight 0 beside other weights gets no traffic',
    { a: [[backend('a', 0), backend('b', 2), backend('c', 1)]] },
    'b 2, c 1',
  ],
  ['the only backend with a weight gets all connections', { a: [[backend('a', 0), backend('b', 2)]] }, 'b'],
  ['the backends of all rules are one pool', { a: [[backend('a', 1)], [backend('b', 3)]] }, 'a 1, b 3'],
  [
    'the backends of all routes are one pool',
    { a: [[backend('a', 1)]], b: [[backend('b', 2), backend('a', 4)]] },
    'a 5, b 2',
  ],
  ['tags give a service another cluster', { a: [[backend('a', 1), backend('a', 2, { v: '1' })]] }, 'a 1, a 2'],
  [
    'an absent service keeps its share',
    { a: [[backend('a', 1), backend('kuma.io/unresolved-backend', 1)]] },
    'a 1, kuma.io/unresolved-backend 1',
  ],
])('GW10 GW17 the backends of TCP routes: %s', (_title, routes, expected) => {
  const { listener: json } = compiled([listener(9000, 'TCP')], (scene) =>
    Object.entries(routes).map(([name, rules]) => tcpRoute(scene, name, rules)),
  )
  const [shown = ''] = chainsOf(json('edge:TCP:9000'))
  const [, targets = ''] = shown.split(': ')
  expect(targets.split(', ').sort().join(', ')).toBe(expected)
})

const weightMax = 2 ** 32 - 1

test('GW10 the weights of a TCP port may add up to 4294967295, and beyond that its chain is left out and reported', () => {
  const shown = (more: number) => {
    const listeners = ['a', 'b'].map((host) => listener(9000, 'TCP', { hostname: host, tags: { host } }))
    const { listener: json, problems } = compiled(listeners, (scene) => [
      tcpRoute(scene, 'a', [[backend('a', weightMax - 1)]], { host: 'a' }),
      tcpRoute(scene, 'b', [[backend('b', more)]], { host: 'b' }),
    ])
    const config = json('edge:TCP:9000')
    return { chains: config && chainsOf(config), reasons: problems().map((one) => one.reason) }
  }
  expect(shown(1)).toEqual({ chains: [`-: a ${weightMax - 1}, b 1`], reasons: [] })
  expect(shown(2)).toEqual({
    chains: undefined,
    reasons: [`weights: expected a sum of at most ${weightMax}, found ${weightMax + 1}`],
  })
})

test('GW10 GW28 a TCP route whose own weights add up to too much is left out alone', () => {
  const { listener: json, problems } = compiled([listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'bad', [[backend('a', weightMax), backend('b', 1)]]),
    tcpRoute(scene, 'good', [[backend('c')]]),
  ])
  expect(chainsOf(json('edge:TCP:9000'))).toEqual(['-: c'])
  expect(problems()).toMatchObject([{ source: 'global/MeshGatewayRoute/default/bad' }])
})

test('GW7 GW11 a mirror to an absent service is no mirror', () => {
  const mirror = (service: string) => ({ mirror: { percentage: 1, backend: backend(service) } })
  const { table } = compiled([listener(80, 'HTTP')], (scene) => [
    scene.put(
      global('MeshGatewayRoute', 'http'),
      httpRoute([{ ...prefixRule('/', 'echo'), filters: [mirror('copy'), mirror('kuma.io/unresolved-backend')] }]),
    ),
  ])
  const routes = JSON.stringify(decoded(table(), typeUrls.route))
  expect(routes.match(/"request_mirror_policies":\[\{"cluster":"copy-[0-9a-f]+",[^[]*\]/g)).toHaveLength(1)
  expect(routes).not.toContain('unresolved-backend')
})

test('GW31 for TCP, Retry sets the connection attempts and Timeout sets the idle timeout', () => {
  const policy = (scene: Scene, kind: string, conf: object) =>
    scene.put(global(kind, 'all'), {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': '*' } }],
      conf,
    })
  const { table, listener: json } = compiled([listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'db', [[backend('db')]]),
    policy(scene, 'Retry', { tcp: { maxConnectAttempts: 3 } }),
    policy(scene, 'Timeout', { connectTimeout: '2s', tcp: { idleTimeout: '1h' } }),
  ])
  const config = json('edge:TCP:9000')?.filter_chains?.[0]?.filters?.[0]?.typed_config
  expect(config).toMatchObject({ idle_timeout: '3600s', max_connect_attempts: 3 })
  expect(Object.values(decoded(table(), typeUrls.cluster))).toMatchObject([{ connect_timeout: '2s' }])
})

test('GW17 without a TCP route connections are closed, and the gateway is reported', () => {
  const { listener: json, problems } = compiled([listener(9000, 'TCP')], (scene) => [
    // HTTP routes bind to HTTP listeners only.
    scene.put(global('MeshGatewayRoute', 'http'), httpRoute([prefixRule('/', 'echo')])),
  ])
  expect(chainsOf(json('edge:TCP:9000'))).toEqual(['-: closed'])
  expect(problems()).toEqual([
    {
      source: gatewayKey,
      reason: 'listener TCP:9000: no route leads anywhere, so its connections are closed',
      isNote: true,
    },
  ])
})

test('GW28 TCP routes bind by tags and never to HTTP listeners, and an invalid route takes nothing from others', () => {
  const {
    listener: json,
    problems,
    table,
  } = compiled(
    [
      listener(80, 'HTTP'),
      listener(9000, 'TCP', { tags: { port: '9000' } }),
      listener(9001, 'TCP', { tags: { port: '9001' } }),
    ],
    (scene) => [
      tcpRoute(scene, 'both', [[backend('both')]]),
      tcpRoute(scene, 'one', [[backend('one')]], { port: '9001' }),
      tcpRoute(scene, 'bad', [[{ destination: { version: '1' } }]]),
    ],
  )
  expect(chainsOf(json('edge:TCP:9000'))).toEqual(['-: both'])
  expect(chainsOf(json('edge:TCP:9001'))).toEqual(['-: both 1, one 1'])
  expect(problems()).toEqual([
    { source: 'global/MeshGatewayRoute/default/bad', reason: 'a backend has no tag "kuma.io/service"' },
  ])
  // The HTTP listener has no route at all.
  expect(JSON.stringify(decoded(table(), typeUrls.route))).toContain('No routes match this MeshGateway!')
})

test('GW36 a cluster that HTTP and TCP listeners with equal tags share speaks HTTP', () => {
  const { table } = compiled([listener(80, 'HTTP'), listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'tcp', [[backend('echo')]]),
    scene.put(global('MeshGatewayRoute', 'http'), httpRoute([prefixRule('/', 'echo')])),
  ])
  const clusters = Object.values(decoded(table(), typeUrls.cluster))
  expect(clusters).toHaveLength(1)
  expect(clusters[0]).toHaveProperty('typed_extension_protocol_options')
})

test('F25 GW13 a TCP route that Envoy refuses is left out of its listener, and a listener with one chain blames only routes', () => {
  const {
    compiler,
    listener: json,
    resource,
  } = compiled([listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'a', [[backend('a')]]),
    tcpRoute(scene, 'b', [[backend('b')]]),
  ])
  const contributions = [...(resource('edge:TCP:9000')?.contributions ?? [])]
  expect(contributions.map(([source]) => source)).toEqual([
    'global/MeshGatewayRoute/default/a',
    'global/MeshGatewayRoute/default/b',
  ])
  for (const [source, hash] of contributions.slice(0, 1)) compiler.exclude(source, hash)
  expect(chainsOf(json('edge:TCP:9000'))).toEqual(['-: b'])
})
