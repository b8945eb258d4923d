import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import {
  builtinGateway,
  createScene,
  global,
  httpRoute,
  meshGateway,
  prefixRule,
  type Scene,
  twoZones,
  zoned,
} from '../compile/scene.ts'

const proxy = 'east/Dataplane/default/edge'
const facts = { canBindPort80: true }

interface TableJson {
  readonly virtual_hosts?: readonly {
    readonly name: string
    readonly domains: readonly string[]
    readonly routes: readonly {
      readonly match: { readonly path?: string; readonly prefix?: string }
      readonly route?: {
        readonly timeout?: string
        readonly retry_policy?: object
        readonly weighted_clusters?: { readonly clusters: readonly { readonly name: string }[] }
      }
      readonly direct_response?: { readonly status: number; readonly body: { readonly inline_string: string } }
    }[]
  }[]
}

function compiled(build: (scene: Scene) => readonly Version[]) {
  const scene = createScene()
  const versions = [scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('10.0.0.5')), ...build(scene)]
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  return { scene, compiler, table: () => compiler.table(proxy, facts) }
}

/** Host → the paths it serves, with the service that each leads to. */
function hostsOf(json: unknown) {
  // The tests declare the fields of the decoded table that they read.
  const table = json as TableJson
  return Object.fromEntries(
    (table.virtual_hosts ?? []).map((host) => [
      host.name,
      host.routes.map((one) =>
        one.direct_response
          ? String(one.direct_response.status)
          : `${one.match.path ?? one.match.prefix} ${one.route?.weighted_clusters?.clusters[0]?.name.replace(/-[0-9a-f]{16}$/, '')}`,
      ),
    ]),
  )
}

const gatewayOn = (scene: Scene, ...hostnames: string[]) =>
  scene.put(
    global('MeshGateway', 'edge'),
    meshGateway(hostnames.map((hostname) => ({ port: 80, protocol: 'HTTP', hostname }))),
  )
const route = (scene: Scene, name: string, hostnames: readonly string[], path = '/') =>
  scene.put(global('MeshGatewayRoute', name), httpRoute([prefixRule(path, name)], { hostnames }))

test.each<
  [string, readonly string[], readonly (readonly [string, readonly string[]])[], Record<string, readonly string[]>]
>([
  ['no route: a fixed answer', ['*'], [], { '*': ['404'] }],
  ['a route without hostnames serves any host', [''], [['a', []]], { '*': ['/ a'] }],
  ['a hostname has its own host, and * has no routes', ['*'], [['a', ['x.com']]], { 'x.com': ['/ a'], '*': ['404'] }],
  [
    'routes without hostnames serve every host, also hosts of other routes',
    ['*'],
    [
      ['a', ['x.com']],
      ['b', []],
    ],
    { 'x.com': ['/ a', '/ b'], '*': ['/ b'] },
  ],
  [
    'a wildcard serves every host below it, in either order of the routes',
    ['*'],
    [
      ['a', ['*.com']],
      ['b', ['example.com']],
      ['c', ['x.example.com']],
    ],
    { '*.com': ['/ a'], 'example.com': ['/ a', '/ b'], 'x.example.com': ['/ a', '/ c'], '*': ['404'] },
  ],
  [
    'a wildcard is not a plain suffix',
    ['*'],
    [
      ['a', ['*.com']],
      ['b', ['telecom']],
    ],
    { '*.com': ['/ a'], telecom: ['/ b'], '*': ['404'] },
  ],
  [
    'the hostname * is any host',
    ['*'],
    [
      ['a', ['*']],
      ['b', ['x.com']],
    ],
    { '*': ['/ a'], 'x.com': ['/ a', '/ b'] },
  ],
  ['a listener with a hostname has routes without hostnames', ['x.com'], [['a', []]], { 'x.com': ['/ a'] }],
  [
    'a listener with a hostname has routes with common hosts, only for these hosts',
    ['*.x.com'],
    [
      ['a', ['a.x.com']],
      ['b', ['*.com']],
      ['c', ['y.com']],
    ],
    { '*.x.com': ['/ b'], 'a.x.com': ['/ a', '/ b'] },
  ],
  ['the hostname of a route is wider than the listener', ['a.x.com'], [['a', ['*.x.com']]], { 'a.x.com': ['/ a'] }],
  [
    'only the listener with a hostname serves its hosts',
    ['*', '*.x.com', 'a.x.com'],
    [
      ['a', ['a.x.com']],
      ['b', ['b.x.com', 'y.com']],
    ],
    { '*': ['404'], '*.x.com': ['404'], 'a.x.com': ['/ a'], 'b.x.com': ['/ b'], 'y.com': ['/ b'] },
  ],
  ['two listeners of a port share the table', ['*', 'x.com'], [['a', []]], { '*': ['/ a'], 'x.com': ['/ a'] }],
])('GW9 the hosts of a listener: %s', (_title, listeners, routes, expected) => {
  for (const order of [routes, [...routes].reverse()]) {
    const { table } = compiled((scene) => [
      gatewayOn(scene, ...listeners),
      ...order.map(([name, hostnames]) => route(scene, name, hostnames)),
    ])
    const hosts = hostsOf(decoded(table(), typeUrls.route)['edge:HTTP:80:*'])
    const sorted = Object.fromEntries(Object.entries(hosts).map(([host, found]) => [host, found.sort()]))
    expect(sorted).toEqual(expected)
  }
})

test('GW11 the text of the answer on a host without routes', () => {
  const { table } = compiled((scene) => [gatewayOn(scene, '*')])
  const json = decoded(table(), typeUrls.route)['edge:HTTP:80:*'] as TableJson // as hostsOf
  expect(json.virtual_hosts?.[0]?.routes[0]?.direct_response?.body.inline_string).toBe(
    'This is a Kuma MeshGateway. No routes match this MeshGateway!\n',
  )
})

test('GW28 a route binds to a listener by the merged tags of gateway and listener', () => {
  const { table } = compiled((scene) => [
    scene.put(global('MeshGateway', 'edge'), {
      ...meshGateway([
        { port: 80, protocol: 'HTTP', tags: { port: 'http-80' } },
        { port: 81, protocol: 'HTTP', tags: { port: 'http-81' } },
      ]),
      tags: { team: 'red' },
    }),
    scene.put(global('MeshGatewayRoute', 'both'), httpRoute([prefixRule('/', 'both')], {}, { team: 'red' })),
    scene.put(global('MeshGatewayRoute', 'one'), httpRoute([prefixRule('/one', 'one')], {}, { port: 'http-81' })),
    scene.put(global('MeshGatewayRoute', 'none'), httpRoute([prefixRule('/', 'none')], {}, { team: 'blue' })),
  ])
  const tables = decoded(table(), typeUrls.route)
  expect(hostsOf(tables['edge:HTTP:80:*'])).toEqual({ '*': ['/ both'] })
  expect(hostsOf(tables['edge:HTTP:81:*'])).toEqual({ '*': ['/one one', '/one/ one', '/ both'] })
})

test('GW29 the most specific MeshGateway serves a proxy, and the newest of equally specific ones', () => {
  const { scene, compiler, table } = compiled((scene) => [
    scene.put(global('MeshGateway', 'any'), meshGateway([{ port: 1, protocol: 'HTTP' }], '*')),
    scene.put(global('MeshGateway', 'older'), meshGateway([{ port: 2, protocol: 'HTTP' }])),
    scene.put(global('MeshGateway', 'newer'), meshGateway([{ port: 3, protocol: 'HTTP' }])),
  ])
  const listeners = () => Object.keys(decoded(table(), typeUrls.listener))
  expect(listeners()).toEqual(['newer:HTTP:3'])
  compiler.apply([scene.remove(global('MeshGateway', 'newer'))], scene.revision)
  expect(listeners()).toEqual(['older:HTTP:2'])
  compiler.apply([scene.remove(global('MeshGateway', 'older'))], scene.revision)
  expect(listeners()).toEqual(['any:HTTP:1'])
  compiler.apply([scene.remove(global('MeshGateway', 'any'))], scene.revision)
  expect(listeners()).toEqual([])
  expect(Object.keys(decoded(table(), typeUrls.runtime))).toEqual(['gateway.listeners'])
})

test('GW15 a listener that cannot be served is left out alone and reported', () => {
  const { table } = compiled((scene) => [
    scene.put(
      global('MeshGateway', 'edge'),
      meshGateway([
        { port: 80, protocol: 'HTTP' },
        { port: 443, protocol: 'HTTPS' },
      ]),
    ),
  ])
  expect(Object.keys(decoded(table(), typeUrls.listener))).toEqual(['edge:HTTP:80'])
  expect(table()?.problems).toEqual([
    {
      source: 'global/MeshGateway/default/edge',
      reason: 'listener HTTPS:443: tls.mode: expected TERMINATE, found NONE',
    },
  ])
})

test('GW30 enable_reuse_port is on for a gateway, except where two processes could share a port', () => {
  const { scene, compiler, table } = compiled((scene) => [gatewayOn(scene, '*')])
  expect(decoded(table(), typeUrls.listener)['edge:HTTP:80']).toMatchObject({ enable_reuse_port: true })
  compiler.apply([scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('127.3.0.1'))], scene.revision)
  expect(decoded(table(), typeUrls.listener)['edge:HTTP:80']).toMatchObject({ enable_reuse_port: false })
})

test('GW31 the best matching policy sets timeouts and retries, and an invalid policy counts as absent', () => {
  const policy = (service: string, conf: unknown) => ({
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': service } }],
    conf,
  })
  const { table, compiler } = compiled((scene) => [
    gatewayOn(scene, '*'),
    route(scene, 'a', []),
    scene.put(global('Timeout', 'any'), policy('*', { http: { requestTimeout: '7s' } })),
    scene.put(
      global('Timeout', 'exact'),
      policy('a', { connectTimeout: '1s', http: { requestTimeout: '3s', streamIdleTimeout: '9s' } }),
    ),
    scene.put(global('Timeout', 'bad'), policy('a', { connectTimeout: { seconds: 12 } })),
    scene.put(global('Retry', 'all'), policy('*', { http: { numRetries: 1 } })),
  ])
  const json = decoded(table(), typeUrls.route)['edge:HTTP:80:*'] as TableJson // as hostsOf
  expect(json.virtual_hosts?.[0]?.routes[0]?.route).toMatchObject({
    timeout: '3s',
    idle_timeout: '9s',
    retry_policy: { retry_on: 'gateway-error,connect-failure,refused-stream', num_retries: 1 },
  })
  expect(Object.values(decoded(table(), typeUrls.cluster))).toMatchObject([{ connect_timeout: '1s' }])
  expect(compiler.drainHeld().rows.map((one) => keyText(one.row.key))).toEqual(['global/Timeout/default/bad'])
})

test('C1 a row of a peer is read in both spellings of its fields, and a number of seconds is a duration', () => {
  const { table } = compiled((scene) => [
    gatewayOn(scene, '*'),
    route(scene, 'a', []),
    scene.put(global('Timeout', 'peer'), {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': 'a' } }],
      conf: { connect_timeout: '1s', http: { request_timeout: 3 } },
    }),
  ])
  expect(Object.values(decoded(table(), typeUrls.cluster))).toMatchObject([{ connect_timeout: '1s' }])
  const json = decoded(table(), typeUrls.route)['edge:HTTP:80:*'] as TableJson // as hostsOf
  expect(json.virtual_hosts?.[0]?.routes[0]?.route).toMatchObject({ timeout: '3s' })
})

test.each([
  ['Timeout', { http: { requestTimeout: '99999999999999999999h' } }, { timeout: '15s' }],
  ['Timeout', { http: { streamIdleTimeout: '99999999999999999999h' } }, { idle_timeout: '5s' }],
  ['Timeout', { connectTimeout: '99999999999999999999h' }, { timeout: '15s' }],
  ['Timeout', { tcp: { idleTimeout: '99999999999999999999h' } }, { timeout: '15s' }],
  ['Retry', { http: { numRetries: 4_294_967_296 } }, { retry_policy: { num_retries: 5 } }],
  ['Retry', { http: { perTryTimeout: '99999999999999999999h' } }, { retry_policy: { num_retries: 5 } }],
  ['Retry', { http: { retriableStatusCodes: [2 ** 33] } }, { retry_policy: { num_retries: 5 } }],
  ['Retry', { tcp: { maxConnectAttempts: 4_294_967_296 } }, { retry_policy: { num_retries: 5 } }],
])(
  'C2 a %s with a value that Envoy does not accept is reported and skipped, and the routes that it applies to stay: %j',
  (kind, conf, expected) => {
    const { compiler, table } = compiled((scene) => [
      gatewayOn(scene, '*'),
      route(scene, 'a', []),
      scene.put(global(kind, 'huge'), {
        sources: [{ match: { 'kuma.io/service': '*' } }],
        destinations: [{ match: { 'kuma.io/service': '*' } }],
        conf,
      }),
    ])
    const json = decoded(table(), typeUrls.route)['edge:HTTP:80:*'] as TableJson // as hostsOf
    expect(json.virtual_hosts?.[0]?.routes[0]?.route).toMatchObject(expected)
    expect(Object.keys(decoded(table(), typeUrls.cluster)).length).toBe(1)
    // The schema bounds these values, so the row is held back before it is compiled.
    expect(compiler.drainHeld().rows.map(({ row }) => keyText(row.key))).toEqual([`global/${kind}/default/huge`])
  },
)

test('GW13 a contribution that Envoy refused stays out until it changes', () => {
  const { scene, compiler, table } = compiled((scene) => [
    gatewayOn(scene, '*'),
    route(scene, 'a', []),
    route(scene, 'b', [], '/b'),
  ])
  const source = 'global/MeshGatewayRoute/default/b'
  const contributions = () => table()?.resources.get(typeUrls.route)?.get('edge:HTTP:80:*')?.contributions
  const hash = contributions()?.get(source) ?? ''
  expect([...(contributions()?.keys() ?? [])]).toEqual(['global/MeshGatewayRoute/default/a', source])

  expect([...compiler.exclude(source, hash)]).toEqual([proxy])
  expect([...(contributions()?.keys() ?? [])]).toEqual(['global/MeshGatewayRoute/default/a'])
  expect(Object.keys(decoded(table(), typeUrls.cluster)).map((name) => name[0])).toEqual(['a'])
  expect(table()?.problems.map((one) => one.source)).toEqual([source])

  compiler.apply([route(scene, 'b', [], '/other')], scene.revision)
  expect(contributions()?.has(source)).toBe(true)
  expect(table()?.problems).toEqual([])
})

test('GW32 a route to a service in another zone has the configuration that Kuma 2.14 gives its gateway, except for labels and a header that its own table removes', () => {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(twoZones(scene), scene.revision)
  const table = compiler.table('east/Dataplane/default/edge-gateway-1', facts)
  // The hash is the one in a configuration dump of Kuma 2.14.3 for this scene.
  const name = 'echo-05391d94465aa5a7'
  expect(decoded(table, typeUrls.cluster)).toMatchObject({
    [name]: {
      type: 'EDS',
      connect_timeout: '5s',
      per_connection_buffer_limit_bytes: 32768,
      transport_socket: {
        typed_config: { sni: 'echo{mesh=default}', common_tls_context: { alpn_protocols: ['kuma'] } },
      },
    },
  })
  expect(decoded(table, typeUrls.assignment)).toMatchObject({
    [name]: {
      endpoints: [
        {
          locality: { zone: 'west' },
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '127.42.0.102', port_value: 10002 } } },
              load_balancing_weight: 1,
            },
          ],
        },
      ],
    },
  })
  expect(decoded(table, typeUrls.route)).toEqual({
    'edge-gateway:HTTP:18080:*': {
      name: 'edge-gateway:HTTP:18080:*',
      virtual_hosts: [
        {
          name: '*',
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              route: {
                weighted_clusters: {
                  clusters: [
                    {
                      name,
                      weight: 1,
                    },
                  ],
                },
                timeout: '15s',
                retry_policy: {
                  retry_on: 'gateway-error,connect-failure,refused-stream',
                  num_retries: 5,
                  per_try_timeout: '16s',
                  retry_back_off: { base_interval: '0.025s', max_interval: '0.250s' },
                },
                cluster_not_found_response_code: 'INTERNAL_SERVER_ERROR',
                idle_timeout: '5s',
              },
            },
          ],
        },
      ],
      validate_clusters: false,
      request_headers_to_remove: ['x-kuma-tags'],
      ignore_port_in_host_matching: true,
    },
  })
  expect(table?.secretNeeds.map((need) => need.name)).toEqual([
    'identity_cert:secret:default',
    'mesh_ca:secret:default',
  ])
  expect(table?.problems).toEqual([])
})
