import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { expect, test } from 'vitest'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { builtinGateway, global, httpRoute, meshGateway, prefixRule, type Scene, zoned } from '../compile/scene.ts'
import {
  backend,
  certificate,
  chainsOf,
  compiled,
  facts,
  gatewayKey,
  listener,
  passthrough,
  proxy,
  tcpRoute,
  terminate,
} from './listener-scene.ts'

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

test('GW14 an HTTPS port has a chain and a route table per hostname, with exact names first and any name last', () => {
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

  // The tests declare the fields of the decoded tables that they read.
  const tables = decoded(table(), typeUrls.route) as Record<
    string,
    { virtual_hosts: { name: string; domains: readonly string[] }[] }
  >
  const hostsOf = (are: (name: string) => boolean) =>
    Object.fromEntries(
      Object.entries(tables).map(([name, one]) => [
        name,
        one.virtual_hosts.filter((host) => are(host.name)).flatMap(({ domains }) => domains),
      ]),
    )
  const isMisdirected = (name: string) => name === 'misdirected'
  expect(hostsOf((name) => !isMisdirected(name))).toEqual({
    'edge:HTTPS:8443:foo.example.com': ['foo.example.com'],
    'edge:HTTPS:8443:*.a.example.com': ['*.a.example.com'],
    'edge:HTTPS:8443:*.example.com': ['*.example.com'],
    'edge:HTTPS:8443:*': ['bar.example.org', '*'],
  })
  expect(hostsOf(isMisdirected)).toEqual({
    'edge:HTTPS:8443:foo.example.com': ['*'],
    'edge:HTTPS:8443:*.a.example.com': ['*'],
    'edge:HTTPS:8443:*.example.com': ['*.a.example.com', 'foo.example.com', '*'],
    'edge:HTTPS:8443:*': ['*.a.example.com', '*.example.com', 'foo.example.com'],
  })
  for (const host of Object.values(tables).flatMap((one) => one.virtual_hosts)) {
    if (isMisdirected(host.name)) continue
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

test('GW16 a chain without its certificate is left out and reported, and a listener without any chain is removed', () => {
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
    // A certificate of another zone must be ignored.
    scene.put(global('GatewayCertificate', 'foo.west'), { secret: 'foo', zone: 'west', problem: 'x' }),
  ])
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual(['*.example.com: edge:HTTPS:8443:*.example.com'])
  expect(Object.keys(decoded(table(), typeUrls.route))).toEqual(['edge:HTTPS:8443:*.example.com'])
  expect(problems()).toEqual([
    { source: gatewayKey, reason: 'listener HTTPS:8443: secret "any" cannot be used: no private key', isNote: true },
    {
      source: gatewayKey,
      reason: 'listener HTTPS:8443:foo.example.com: secret "foo" does not exist, or has not arrived yet',
      isNote: true,
    },
  ])
  apply(certificate(scene, 'foo'), certificate(scene, 'foo-ecdsa', { keyType: 'ecdsa' }))
  expect(chainsOf(json('edge:HTTPS:8443'))).toHaveLength(2)
  for (const name of ['wild.east', 'foo.east']) apply(scene.remove(global('GatewayCertificate', name)))
  expect(names()).toEqual([])
  expect(table()?.secretNeeds).toEqual([])
})

test('GW19 a certificate that is sealed again without a change wakes no proxy, and a new certificate does', () => {
  const { scene, apply, table } = compiled([listener(443, 'HTTPS', terminate('s'))], (scene) => [
    certificate(scene, 's'),
  ])
  const before = table()
  apply(certificate(scene, 's', { sealed: 'y', notAfterMs: 2 }))
  expect(table()).toBe(before)
  expect([...apply(certificate(scene, 's', { fingerprint: 'new' }))]).toEqual([proxy])
  expect(table()?.secretNeeds).toMatchObject([{ fingerprint: 'new' }])
  // The listener refers to the same Envoy secret, so it does not change.
  const versions = [before, table()].map((one) => one?.resources.get(typeUrls.listener)?.get('edge:HTTPS:443')?.version)
  expect(new Set(versions).size).toBe(1)
})

test('GW14 a TLS port passes through or terminates by hostname, each with its own backends', () => {
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
      isNote: true,
    },
  ])
})

test.each<[string, readonly (number | undefined)[], object]>([
  ['none', [undefined, undefined], {}],
  ['on the first', [5, undefined], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 5 }],
  ['on the second only', [undefined, 7], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 7 }],
  ['0 is none', [0, 7], { 'envoy.resource_limits.listener.edge:HTTP:80.connection_limit': 7 }],
])('GW18 the connectionLimit of a port: %s', (_title, limits, layer) => {
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
    'an incomplete certificate',
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
  [
    'crossMesh without mutual TLS',
    listener(81, 'HTTP', { crossMesh: true }),
    'listener HTTP:81: crossMesh needs mutual TLS in mesh "default"',
  ],
  [
    'crossMesh beside a listener without it',
    listener(80, 'HTTP', { crossMesh: true, hostname: 'a.com' }),
    'listener HTTP:80:a.com: crossMesh is not that of another listener of this port',
  ],
  [
    'crossMesh with TCP',
    listener(81, 'TCP', { crossMesh: true }),
    'listener TCP:81: expected protocol HTTP, as crossMesh is for no other',
  ],
])('F24 GW15 a listener that cannot be served is left out alone: %s', (_title, bad, reason) => {
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

test('GW33 an inline certificate is named by its hostname, and also by its port if one hostname has two certificates', () => {
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

test('F25 GW15 the parts of a listener that Envoy refuses are left out by hostname until the gateway is written again', () => {
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
    {
      source: gatewayKey,
      reason: 'listener HTTPS:8443:foo.example.com: left out: Envoy refused the listener with it',
      isNote: true,
    },
  ])
  // A write of the row drops its exclusions, so the chain is tried again.
  apply(scene.put(global('MeshGateway', 'edge'), meshGateway(hosts)))
  expect(chainsOf(json('edge:HTTPS:8443'))).toEqual(before)
})

test('F25 GW15 a certificate that Envoy refuses costs only the chains that show it, until another certificate arrives', () => {
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

test('L13 instances of a gateway share its chains, regardless of their addresses', () => {
  const { scene, compiler, apply, table } = compiled(hosts, certificates)
  table()
  apply(scene.put(zoned('east', 'Dataplane', 'edge-2'), builtinGateway('10.0.0.6')))
  const before = compiler.counters.unitsCompiled
  compiler.table(keyText(zoned('east', 'Dataplane', 'edge-2')), facts)
  // The listener of the port, the model of the proxy and its root are computed again.
  expect(compiler.counters.unitsCompiled - before).toBeLessThan(6)
})
