import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
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
  zoned,
} from '../compile/scene.ts'
import { decoded } from '../emit/decode.ts'

const proxy = 'east/Dataplane/default/edge'
const gatewayKey = 'global/MeshGateway/default/edge'
const facts = { canBindPort80: true }

/** What the tests read of Envoy's messages. */
interface ListenerJson {
  readonly listener_filters?: readonly { readonly name: string }[]
  readonly filter_chains?: readonly {
    readonly filter_chain_match?: { readonly server_names?: readonly string[] }
    readonly transport_socket?: {
      readonly typed_config: { readonly common_tls_context: { readonly tls_certificate_sds_secret_configs: object[] } }
    }
    readonly filters?: readonly { readonly typed_config: TcpJson & { readonly rds?: { route_config_name: string } } }[]
  }[]
}
interface TcpJson {
  readonly cluster?: string
  readonly weighted_clusters?: { readonly clusters: readonly { readonly name: string; readonly weight: number }[] }
  readonly idle_timeout?: string
  readonly max_connect_attempts?: number
}

const listener = (port: number, protocol: string, more: object = {}) => ({ port, protocol, ...more })
const secrets = (...names: string[]) => names.map((secret) => ({ secret }))
const terminate = (...names: string[]) => ({ tls: { mode: 'TERMINATE', certificates: secrets(...names) } })
const passthrough = { tls: { mode: 'PASSTHROUGH' } }

function compiled(listeners: readonly object[], build: (scene: Scene) => readonly Version[] = () => []) {
  const scene = createScene()
  const versions = [
    scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('10.0.0.5')),
    scene.put(global('MeshGateway', 'edge'), meshGateway(listeners)),
    ...build(scene),
  ]
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  const table = () => compiler.table(proxy, facts)
  return {
    scene,
    compiler,
    table,
    apply: (...more: Version[]) => compiler.apply(more, scene.revision),
    problems: () => table()?.problems ?? [],
    names: () => Object.keys(decoded(table(), typeUrls.listener)),
    // The tests read what they need of the decoded messages.
    listener: (name: string) => decoded(table(), typeUrls.listener)[name] as ListenerJson | undefined,
    resource: (name: string) => table()?.resources.get(typeUrls.listener)?.get(name),
  }
}

const backend = (service: string, weight?: number, tags: object = {}) => ({
  ...(weight === undefined ? {} : { weight }),
  destination: { 'kuma.io/service': service, ...tags },
})
const tcpRoute = (scene: Scene, name: string, rules: readonly (readonly object[])[], selector = {}) =>
  scene.put(global('MeshGatewayRoute', name), {
    selectors: [{ match: { 'kuma.io/service': 'edge-gateway', ...selector } }],
    conf: { tcp: { rules: rules.map((backends) => ({ backends })) } },
  })
const certificate = (scene: Scene, secret: string, more: object = {}) =>
  scene.put(global('GatewayCertificate', `${secret}.east`), {
    secret,
    zone: 'east',
    keyType: 'rsa',
    names: [],
    notAfterMs: 1,
    fingerprint: `of ${secret}`,
    sealed: 'x',
    ...more,
  })

/** Chain by chain: its server names, and where its connections go, without the hashes of clusters. */
function chainsOf(json: ListenerJson | undefined) {
  const plain = (name: string | undefined) => name?.replace(/-[0-9a-f]{16}$/, '')
  return (json?.filter_chains ?? []).map(({ filter_chain_match, filters = [] }) => {
    const names = filter_chain_match?.server_names?.join() ?? '-'
    const config = filters[0]?.typed_config
    if (!config) return `${names}: closed`
    if (config.rds) return `${names}: ${config.rds.route_config_name}`
    const weighted = config.weighted_clusters?.clusters.map(({ name, weight }) => `${plain(name)} ${weight}`)
    return `${names}: ${weighted?.join(', ') ?? plain(config.cluster)}`
  })
}

test('§4.3 TCP: one chain without a match, the default policies, and nothing that waits for the client to speak', () => {
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
  // Mutual TLS as for HTTP, and no version of HTTP.
  const cluster = decoded(table(), typeUrls.cluster)[name]
  expect(cluster).toMatchObject({ transport_socket: { name: 'envoy.transport_sockets.tls' } })
  expect(cluster).not.toHaveProperty('typed_extension_protocol_options')
  expect(Object.keys(decoded(table(), typeUrls.assignment))).toEqual([name])
  expect(table()?.problems).toEqual([])
})

test.each<[string, Record<string, readonly (readonly object[])[]>, string]>([
  ['one backend: its weight does not matter', { a: [[backend('a', 0)]] }, 'a'],
  ['no weights: equal', { a: [[backend('a'), backend('b')]] }, 'a 1, b 1'],
  ['a weight of 0 beside others: no traffic', { a: [[backend('a', 0), backend('b', 2), backend('c', 1)]] }, 'b 2, c 1'],
  ['one that is left of several is alone', { a: [[backend('a', 0), backend('b', 2)]] }, 'b'],
  ['the backends of all rules are one pool', { a: [[backend('a', 1)], [backend('b', 3)]] }, 'a 1, b 3'],
  ['and those of all routes', { a: [[backend('a', 1)]], b: [[backend('b', 2), backend('a', 4)]] }, 'a 5, b 2'],
  ['tags make another cluster of a service', { a: [[backend('a', 1), backend('a', 2, { v: '1' })]] }, 'a 1, a 2'],
  [
    'a service that does not exist takes its share',
    { a: [[backend('a', 1), backend('kuma.io/unresolved-backend', 1)]] },
    'a 1, kuma.io/unresolved-backend 1',
  ],
])('§2.7 TCP backends: %s', (_title, routes, expected) => {
  const { listener: json } = compiled([listener(9000, 'TCP')], (scene) =>
    Object.entries(routes).map(([name, rules]) => tcpRoute(scene, name, rules)),
  )
  const [shown = ''] = chainsOf(json('edge:TCP:9000'))
  const [, targets = ''] = shown.split(': ')
  expect(targets.split(', ').sort().join(', ')).toBe(expected)
})

test('§3.6 TCP: Retry says how often to connect, Timeout how long silence may last', () => {
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

test('§2.7 TCP without a route: connections are closed, and the gateway is named', () => {
  const { listener: json, problems } = compiled([listener(9000, 'TCP')], (scene) => [
    // HTTP routes bind to HTTP listeners only.
    scene.put(global('MeshGatewayRoute', 'http'), httpRoute([prefixRule('/', 'echo')])),
  ])
  expect(chainsOf(json('edge:TCP:9000'))).toEqual(['-: closed'])
  expect(problems()).toEqual([
    { source: gatewayKey, reason: 'listener TCP:9000: no route leads anywhere, so its connections are closed' },
  ])
})

test('§2.3 TCP routes bind by tags, and not to HTTP listeners; a route that cannot be used takes nothing from others', () => {
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

test('§4.1 a cluster that HTTP and TCP listeners with the same tags lead to speaks HTTP', () => {
  const { table } = compiled([listener(80, 'HTTP'), listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'tcp', [[backend('echo')]]),
    scene.put(global('MeshGatewayRoute', 'http'), httpRoute([prefixRule('/', 'echo')])),
  ])
  const clusters = Object.values(decoded(table(), typeUrls.cluster))
  expect(clusters).toHaveLength(1)
  expect(clusters[0]).toHaveProperty('typed_extension_protocol_options')
})

const hosts = [
  listener(8443, 'HTTPS', { hostname: '*.example.com', ...terminate('wild') }),
  listener(8443, 'HTTPS', terminate('any')),
  listener(8443, 'HTTPS', { hostname: 'foo.example.com', ...terminate('foo', 'foo-ecdsa') }),
  listener(8443, 'HTTPS', { hostname: '*.a.example.com', ...terminate('wild') }),
]
const certificates = (scene: Scene) => [
  certificate(scene, 'wild'),
  certificate(scene, 'any'),
  certificate(scene, 'foo'),
  certificate(scene, 'foo-ecdsa', { keyType: 'ecdsa' }),
]

test('§1.4 HTTPS: a chain and a route table for each hostname, exact names first, any name last', () => {
  const {
    table,
    listener: json,
    problems,
  } = compiled(hosts, (scene) => [
    ...certificates(scene),
    scene.put(global('MeshGatewayRoute', 'all'), httpRoute([prefixRule('/', 'echo')])),
    scene.put(
      global('MeshGatewayRoute', 'named'),
      httpRoute([prefixRule('/x', 'echo')], { hostnames: ['bar.example.org'] }),
    ),
  ])
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual([
    'foo.example.com: edge:HTTPS:8443:foo.example.com',
    '*.a.example.com: edge:HTTPS:8443:*.a.example.com',
    '*.example.com: edge:HTTPS:8443:*.example.com',
    '-: edge:HTTPS:8443:*',
  ])
  expect(json('edge:HTTPS:8443')?.filter_chains?.[0]).toMatchObject({
    filter_chain_match: { transport_protocol: 'tls', server_names: ['foo.example.com'] },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        common_tls_context: {
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
          alpn_protocols: ['h2', 'http/1.1'],
          tls_certificate_sds_secret_configs: [
            { name: 'cert.rsa:secret:foo', sds_config: { ads: {} } },
            { name: 'cert.ecdsa:secret:foo-ecdsa', sds_config: { ads: {} } },
          ],
        },
        require_client_certificate: false,
      },
    },
  })
  expect(json('edge:HTTPS:8443')?.listener_filters).toMatchObject([{ name: 'envoy.filters.listener.tls_inspector' }])

  // As `listener`: what is read of it.
  const tables = decoded(table(), typeUrls.route) as Record<string, { virtual_hosts: { name: string }[] }>
  expect(
    Object.fromEntries(Object.entries(tables).map(([name, one]) => [name, one.virtual_hosts.map((host) => host.name)])),
  ).toEqual({
    'edge:HTTPS:8443:foo.example.com': ['foo.example.com'],
    'edge:HTTPS:8443:*.a.example.com': ['*.a.example.com'],
    'edge:HTTPS:8443:*.example.com': ['*.example.com'],
    'edge:HTTPS:8443:*': ['bar.example.org', '*'],
  })
  for (const host of Object.values(tables).flatMap((one) => one.virtual_hosts)) {
    expect(host).toMatchObject({
      require_tls: 'ALL',
      response_headers_to_add: [
        {
          header: { key: 'Strict-Transport-Security', value: 'max-age=31536000; includeSubDomains' },
          append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
        },
      ],
    })
  }
  expect(table()?.secretNeeds).toEqual(
    [
      ['cert.ecdsa:secret:foo-ecdsa', 'foo-ecdsa'],
      ['cert.rsa:secret:any', 'any'],
      ['cert.rsa:secret:foo', 'foo'],
      ['cert.rsa:secret:wild', 'wild'],
    ].map(([name, secret]) => ({
      type: 'certificate',
      name,
      mesh: 'default',
      source: { secret },
      fingerprint: `of ${secret}`,
      contribution: { source: `global/GatewayCertificate/default/${secret}.east`, hash: `of ${secret}` },
    })),
  )
  expect(problems()).toEqual([])
})

test('§1.1 a chain whose certificate is not there is left out and named; with the last one the listener goes', () => {
  const {
    scene,
    apply,
    listener: json,
    problems,
    names,
    table,
  } = compiled(hosts.slice(0, 3), (scene) => [
    certificate(scene, 'wild'),
    scene.put(global('GatewayCertificate', 'any.east'), { secret: 'any', zone: 'east', problem: 'no private key' }),
    // Of another zone, which is not ours.
    scene.put(global('GatewayCertificate', 'foo.west'), { secret: 'foo', zone: 'west', problem: 'x' }),
  ])
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual(['*.example.com: edge:HTTPS:8443:*.example.com'])
  expect(Object.keys(decoded(table(), typeUrls.route))).toEqual(['edge:HTTPS:8443:*.example.com'])
  expect(problems()).toEqual([
    { source: gatewayKey, reason: 'listener HTTPS:8443: secret "any" cannot be used: no private key' },
    { source: gatewayKey, reason: 'listener HTTPS:8443:foo.example.com: secret "foo" is not there (yet)' },
  ])
  apply(certificate(scene, 'foo'), certificate(scene, 'foo-ecdsa', { keyType: 'ecdsa' }))
  expect(chainsOf(json('edge:HTTPS:8443'))).toHaveLength(2)
  for (const name of ['wild.east', 'foo.east']) apply(scene.remove(global('GatewayCertificate', name)))
  expect(names()).toEqual([])
  expect(table()?.secretNeeds).toEqual([])
})

test('§1.1 a certificate that is only sealed anew wakes nobody; a new one does', () => {
  const { scene, apply, table } = compiled([listener(443, 'HTTPS', terminate('s'))], (scene) => [
    certificate(scene, 's'),
  ])
  const before = table()
  apply(certificate(scene, 's', { sealed: 'y', notAfterMs: 2 }))
  expect(table()).toBe(before)
  expect([...apply(certificate(scene, 's', { fingerprint: 'new' }))]).toEqual([proxy])
  expect(table()?.secretNeeds).toMatchObject([{ fingerprint: 'new' }])
  // The listener names the same secret and stays as it is.
  const versions = [before, table()].map((one) => one?.resources.get(typeUrls.listener)?.get('edge:HTTPS:443')?.version)
  expect(new Set(versions).size).toBe(1)
})

test('§4.3 TLS: passed through or terminated by hostname, each with its own backends', () => {
  const {
    listener: json,
    problems,
    table,
  } = compiled(
    [
      listener(8443, 'TLS', { hostname: 'pass.example.com', tags: { to: 'pass' }, ...passthrough }),
      listener(8443, 'TLS', { hostname: 'end.example.com', tags: { to: 'end' }, ...terminate('s') }),
      listener(8443, 'TLS', { hostname: '*.example.com', tags: { to: 'none' }, ...passthrough }),
    ],
    (scene) => [
      certificate(scene, 's'),
      tcpRoute(scene, 'pass', [[backend('a')]], { to: 'pass' }),
      tcpRoute(scene, 'end', [[backend('b', 1), backend('c', 3)]], { to: 'end' }),
    ],
  )
  const chains = json('edge:TLS:8443')?.filter_chains ?? []
  expect(chainsOf(json('edge:TLS:8443'))).toEqual([
    'end.example.com: b 1, c 3',
    'pass.example.com: a',
    '*.example.com: closed',
  ])
  expect(chains.map((one) => one.transport_socket?.typed_config.common_tls_context)).toEqual([
    {
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
      tls_certificate_sds_secret_configs: [
        { name: 'cert.rsa:secret:s', sds_config: { ads: {}, resource_api_version: 'V3' } },
      ],
    },
    undefined,
    undefined,
  ])
  expect(Object.keys(decoded(table(), typeUrls.route))).toEqual([])
  expect(problems()).toEqual([
    {
      source: gatewayKey,
      reason: 'listener TLS:8443:*.example.com: no route leads anywhere, so its connections are closed',
    },
  ])
})

test.each<[string, readonly (number | undefined)[], object]>([
  ['none', [undefined, undefined], {}],
  ['on the first', [5, undefined], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 5 }],
  ['on the second only', [undefined, 7], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 7 }],
  ['0 is none', [0, 7], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 7 }],
])('§4.1 connectionLimit of a port: %s', (_title, limits, layer) => {
  const { table } = compiled(
    limits.map((connectionLimit, at) =>
      listener(80, 'HTTP', { hostname: `${at}.com`, resources: { connectionLimit } }),
    ),
  )
  expect(decoded(table(), typeUrls.runtime)).toEqual({ 'gateway.listeners': { name: 'gateway.listeners', layer } })
})

test.each<[string, object, string]>([
  ['no protocol', listener(81, 'NONE'), 'listener NONE:81: expected a protocol'],
  ['a bad port', listener(70_000, 'HTTP'), 'listener HTTP:70000: port: expected a port, found 70000'],
  ['a bad hostname', listener(81, 'HTTP', { hostname: 'a.*.b' }), 'listener HTTP:81:a.*.b: hostname: invalid hostname'],
  ['TLS without tls', listener(81, 'TLS'), 'listener TLS:81: tls.mode: expected TERMINATE or PASSTHROUGH, found NONE'],
  [
    'HTTPS passed through',
    listener(81, 'HTTPS', passthrough),
    'listener HTTPS:81: tls.mode: expected TERMINATE, found PASSTHROUGH',
  ],
  ['no certificate', listener(81, 'HTTPS', terminate()), 'listener HTTPS:81: expected a certificate'],
  [
    'a file',
    listener(81, 'HTTPS', { tls: { mode: 'TERMINATE', certificates: [{ file: '/a' }] } }),
    'listener HTTPS:81: certificates of files are not served',
  ],
  [
    'half a certificate',
    listener(81, 'HTTPS', { tls: { mode: 'TERMINATE', certificates: [{ inlineString: 'x' }] } }),
    'listener HTTPS:81: missing server certificate',
  ],
  [
    'another protocol on the same port',
    listener(80, 'TCP'),
    'listener TCP:80: the port is taken by a listener of protocol HTTP',
  ],
  [
    'the same hostname again',
    listener(80, 'HTTP'),
    'listener HTTP:80: another listener of this port has this hostname',
  ],
  ['crossMesh', listener(81, 'HTTP', { crossMesh: true }), 'listener HTTP:81: crossMesh is not served'],
])('row 24 a listener that cannot be served is left out alone: %s', (_title, bad, reason) => {
  const { names, problems } = compiled([listener(80, 'HTTP'), bad, listener(9000, 'TCP')], (scene) => [
    tcpRoute(scene, 'db', [[backend('db')]]),
  ])
  expect(names()).toEqual(['edge:HTTP:80', 'edge:TCP:9000'])
  expect(problems()).toEqual([{ source: gatewayKey, reason }])
})

const pem = (type: string, body = 'AAAA') => `-----BEGIN ${type}-----\n${body}\n-----END ${type}-----\n`
const inline = (more: string) => ({
  tls: { mode: 'TERMINATE', certificates: [{ inlineString: pem('RSA PRIVATE KEY') + pem('CERTIFICATE') + more }] },
})

test('§4.1 inline certificates are named by hostname, and by port where one hostname has two', () => {
  const { table } = compiled([
    listener(443, 'HTTPS', { hostname: 'a.com', ...inline('') }),
    listener(443, 'HTTPS', { hostname: 'b.com', ...inline('') }),
    listener(8443, 'HTTPS', { hostname: 'b.com', ...inline('\n') }),
  ])
  expect(table()?.secretNeeds.map((need) => need.name)).toEqual([
    'cert.rsa:inlineString:a.com',
    'cert.rsa:inlineString:b.com:443',
    'cert.rsa:inlineString:b.com:8443',
  ])
  expect(table()?.secretNeeds[0]).toMatchObject({
    contribution: { source: `${gatewayKey}/HTTPS:443:a.com` },
    source: { pem: pem('RSA PRIVATE KEY') + pem('CERTIFICATE') },
  })
})

test('row 25 what Envoy refuses of a listener is left out by hostname, until the gateway is written again', () => {
  const { scene, compiler, apply, listener: json, resource, problems } = compiled(hosts, certificates)
  const contributions = resource('edge:HTTPS:8443')?.contributions ?? new Map<string, string>()
  const source = `${gatewayKey}/HTTPS:8443:foo.example.com`
  expect([...contributions.keys()]).toEqual([
    `${gatewayKey}/HTTPS:8443:*`,
    `${gatewayKey}/HTTPS:8443:*.a.example.com`,
    `${gatewayKey}/HTTPS:8443:*.example.com`,
    source,
  ])
  const before = chainsOf(json('edge:HTTPS:8443'))
  expect([...compiler.exclude(source, contributions.get(source) ?? '')]).toEqual([proxy])
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual(before.slice(1))
  expect(problems()).toEqual([
    { source: gatewayKey, reason: 'listener HTTPS:8443:foo.example.com: left out: Envoy refused the listener with it' },
  ])
  // Another listener of it is changed: another hash, but also another row.
  apply(scene.put(global('MeshGateway', 'edge'), meshGateway(hosts)))
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual(before)
})

test('row 25 a certificate that Envoy refuses costs the chains that show it, until there is another', () => {
  const { scene, compiler, apply, table, listener: json, problems } = compiled(hosts, certificates)
  const need = table()?.secretNeeds.find((one) => one.name === 'cert.rsa:secret:wild')
  const { source = '', hash = '' } = need?.type === 'certificate' ? need.contribution : {}
  compiler.exclude(source, hash)
  expect(chainsOf(json('edge:HTTPS:8443'))).toHaveLength(2)
  expect(problems().map((one) => one.reason)).toEqual([
    'listener HTTPS:8443:*.a.example.com: the certificate of secret "wild" was refused',
    'listener HTTPS:8443:*.example.com: the certificate of secret "wild" was refused',
  ])
  apply(certificate(scene, 'wild', { fingerprint: 'new' }))
  expect(chainsOf(json('edge:HTTPS:8443'))).toHaveLength(4)
})

test('row 25 a TCP route that Envoy refuses is left out of the listener; a listener with one chain blames routes only', () => {
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

test('L13 replicas of a gateway share its chains, whichever address they have', () => {
  const { scene, compiler, apply, table } = compiled(hosts, certificates)
  table()
  apply(scene.put(zoned('east', 'Dataplane', 'edge-2'), builtinGateway('10.0.0.6')))
  const before = compiler.counters.unitsCompiled
  compiler.table(keyText(zoned('east', 'Dataplane', 'edge-2')), facts)
  // Its listener, itself and its root.
  expect(compiler.counters.unitsCompiled - before).toBeLessThan(6)
})
