import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { admit } from '../../src/admit/admit.ts'
import { lifetimeMs } from '../../src/kinds/common.ts'

/** The violations of a document: each field with its reason, in order. */
function violationsOf(document: object): readonly (readonly [string, string])[] {
  const result = admit(document)
  return result.ok ? [] : result.error.violations.map(({ field, reason }) => [field, reason] as const)
}

type Violation = readonly [field: string, reason: string]
interface Case {
  readonly yaml: string
  readonly violations: readonly Violation[]
}

const cases = (list: readonly (readonly [title: string, yaml: string, ...violations: Violation[]])[]) =>
  list.map(([title, yaml, ...violations]): [string, Case] => [title, { yaml, violations }])

const portReason = 'port must be in the range [1, 65535]'

const dataplane = (networking: string, rest: object = {}) => ({
  type: 'Dataplane',
  mesh: 'default',
  name: 'web-1',
  networking: parse(networking),
  ...rest,
})
const inbound = (fields: string) =>
  `{ address: 10.0.0.7, inbound: [{ port: 80, tags: { kuma.io/service: web }, ${fields} }] }`
const outbound = (fields: string) => `{ address: 10.0.0.7, outbound: [{ ${fields} }] }`

test.each(
  cases([
    ['outbounds only', '{ address: 10.0.0.7, outbound: [{ port: 1, tags: { kuma.io/service: db } }] }'],
    ['transparent proxying only', '{ address: 10.0.0.7, transparentProxying: { redirectPortInbound: 15006 } }'],
    ['an inbound without tags', '{ address: 10.0.0.7, inbound: [{ port: 80 }] }'],
    ['a gateway without tags', '{ address: 10.0.0.7, gateway: { type: BUILTIN } }'],
    ['a name with an underscore', '{ address: web_1.local, inbound: [{ port: 80 }] }'],
    ['nothing', '{}', ['networking.address', "address can't be empty"]],
    ['any address', '{ address: "::" }', ['networking.address', 'must not be 0.0.0.0 or ::']],
    [
      'four numbers that are no address',
      '{ address: 10.0.0.700 }',
      ['networking.address', 'address has to be valid IP address or domain name'],
    ],
    [
      'colons that are no address',
      '{ address: "1:2:3:::::4" }',
      ['networking.address', 'address has to be valid IP address or domain name'],
    ],
    [
      'an admin port of the loopback address',
      '{ address: 10.0.0.7, admin: { port: 80 }, inbound: [{ port: 8080, servicePort: 80 }], outbound: [{ port: 80, tags: { kuma.io/service: db } }] }',
      ['networking.admin.port', 'must differ from inbound'],
      ['networking.admin.port', 'must differ from outbound'],
    ],
    [
      'an admin port that the application has, because its inbound names no other',
      '{ address: 10.0.0.7, admin: { port: 80 }, inbound: [{ port: 80 }] }',
      ['networking.admin.port', 'must differ from inbound'],
    ],
    [
      'an admin port that another interface has',
      '{ address: 10.0.0.7, admin: { port: 80 }, inbound: [{ port: 80, servicePort: 8080 }] }',
    ],
    [
      'a tag without a value',
      '{ address: 10.0.0.7, inbound: [{ port: 80, tags: { kuma.io/service: web, version: } }] }',
      ['networking.inbound[0].tags["version"]', 'tag value must be non-empty'],
    ],
    [
      'tags without a service',
      '{ address: 10.0.0.7, inbound: [{ port: 80, tags: { version: v1 } }] }',
      ['networking.inbound[0].tags["kuma.io/service"]', 'tag has to exist'],
    ],
    [
      'addresses of an inbound',
      inbound('serviceAddress: nowhere, address: somewhere'),
      ['networking.inbound[0].serviceAddress', 'serviceAddress has to be valid IP address'],
      ['networking.inbound[0].address', 'address has to be valid IP address'],
    ],
    [
      'an inbound that leads to itself',
      inbound('serviceAddress: 10.0.0.7'),
      ['networking.inbound[0].serviceAddress', 'serviceAddress and servicePort has to differ from address and port'],
    ],
    [
      'protocols',
      '{ address: 10.0.0.7, inbound: [{ port: 80, protocol: gopher, tags: { kuma.io/service: web, kuma.io/protocol: ftp } }] }',
      [
        'networking.inbound[0].tags["kuma.io/protocol"]',
        'tag "kuma.io/protocol" has an invalid value "ftp". Allowed values: grpc, http, http2, kafka, tcp',
      ],
      [
        'networking.inbound[0].protocol',
        'has an invalid value "gopher". Allowed values: grpc, http, http2, kafka, tcp',
      ],
    ],
    [
      'a service probe',
      inbound('serviceProbe: { interval: 0s, healthyThreshold: 0 }'),
      ['networking.inbound[0].serviceProbe.interval', 'must have a positive value'],
      ['networking.inbound[0].serviceProbe.healthyThreshold', 'must have a positive value'],
    ],
    [
      'an outbound',
      outbound('port: 0, address: nowhere'),
      ['networking.outbound[0].port', portReason],
      ['networking.outbound[0].address', 'address has to be valid IP address'],
      ['networking.outbound[0].tags', 'mandatory tag "kuma.io/service" is missing'],
    ],
    [
      'a reference of an outbound',
      outbound('port: 1, tags: { kuma.io/service: db }, backendRef: { kind: Service }'),
      [
        'networking.outbound[0].backendRef.kind',
        'invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService',
      ],
      ['networking.outbound[0].backendRef', "either 'name' or 'labels' should be specified"],
      ['networking.outbound[0].backendRef.port', portReason],
      ['networking.outbound[0].backendRef', 'both backendRef and tags/service cannot be defined'],
    ],
    [
      'a reference to an external service needs no port',
      outbound('port: 1, backendRef: { kind: MeshExternalService, name: db }'),
    ],
    [
      'reachable backends',
      `{ address: 10.0.0.7, transparentProxying: { reachableBackends: { refs: [{ kind: Service, name: Db }, { kind: MeshService },
      { kind: MeshService, namespace: n }, { kind: MeshService, name: db, labels: { a: b } }, { kind: MeshService, name: db }] } } }`,
      [
        'networking.transparentProxing.reachableBackends.refs[0].kind',
        'invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService',
      ],
      [
        'networking.transparentProxing.reachableBackends.refs[0].name',
        "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
      ],
      ['networking.transparentProxing.reachableBackends.refs[1].name', 'name or labels are required'],
      ['networking.transparentProxing.reachableBackends.refs[2].name', 'name is required, when namespace is defined'],
      [
        'networking.transparentProxing.reachableBackends.refs[3].labels',
        'labels cannot be defined when name is specified',
      ],
    ],
    [
      'listeners of zone proxies',
      `{ address: 10.0.0.7, inbound: [{ port: 80, name: main }], listeners: [{ type: ZoneIngress, address: 10.0.0.7, port: 80, name: main },
      { type: ZoneIngress, address: 10.0.0.7, port: 81 }, { type: ZoneEgress, address: 10.0.0.7, port: 81 }, { address: 10.0.0.7, port: 82 }] }`,
      ['networking.listeners[0].name', 'name "main" must be unique across inbounds and listeners'],
      ['networking.listeners[0]', 'address:port 10.0.0.7:80 collides with an inbound listener'],
      ['networking.listeners[2]', 'address:port 10.0.0.7:81 is used by listeners of different types'],
      ['networking.listeners[3].type', 'type must be ZoneIngress or ZoneEgress'],
    ],
    [
      'a builtin gateway',
      '{ address: 10.0.0.7, gateway: { type: BUILTIN, tags: { kuma.io/protocol: http } }, inbound: [{ port: 80 }], outbound: [{ port: 1, tags: { kuma.io/service: db } }] }',
      ['networking.inbound', 'inbound cannot be defined for builtin gateways'],
      ['networking.outbound', 'outbound cannot be defined for builtin gateways'],
      ['networking.gateway.tags["kuma.io/protocol"]', 'other values than tcp are not allowed, provided value "http"'],
      ['networking.gateway.tags', 'mandatory tag "kuma.io/service" is missing'],
    ],
  ]),
)('A7 a Dataplane is judged as by Kuma 2.14: %s', (_title, { yaml, violations }) =>
  expect(violationsOf(dataplane(yaml))).toEqual(violations),
)

test.each<[string, object, readonly Violation[]]>([
  [
    'probes',
    { probes: { port: 70_000, endpoints: [{ inboundPort: 80, inboundPath: 'health', path: '/80/health' }] } },
    [
      ['probes.port', portReason],
      ['probes.endpoints[0].inboundPath', 'should be a valid URL Path'],
    ],
  ],
  [
    'a metrics backend of another type',
    { metrics: { type: 'statsd' } },
    [['metrics.type', 'unknown backend type. Available backends: "prometheus"']],
  ],
  [
    'an aggregate of the same name twice',
    { metrics: { type: 'prometheus', conf: { aggregate: [{ name: 'app' }, { name: 'app' }] } } },
    [['metrics.conf.aggregate[1].name', 'duplicate entry: app, values have to be unique']],
  ],
])('A7 a Dataplane is judged as by Kuma 2.14: %s', (_title, rest, violations) =>
  expect(violationsOf(dataplane('{ address: 10.0.0.7, inbound: [{ port: 80 }] }', rest))).toEqual(violations),
)

test('A7 probes of a delegated gateway are checked, and probes of a builtin gateway are refused', () => {
  const probes = { probes: { port: 0 } }
  const gateway = (type: string) => dataplane(`{ address: 10.0.0.7, gateway: { type: ${type} } }`, probes)
  expect(violationsOf(gateway('DELEGATED'))).toEqual([['probes.port', portReason]])
  expect(violationsOf(gateway('BUILTIN'))).toEqual([
    ['networking.probes', 'probes cannot be defined for builtin gateways'],
  ])
})

const policy = (type: string, conf: unknown) => ({
  type,
  mesh: 'default',
  name: 'p',
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  ...(conf === undefined ? {} : { conf }),
})
const whenGiven = 'has to be greater than 0 when defined'
const atLeastOne = 'at least one timeout in section has to be defined'

test.each(
  cases([
    [
      'one of each',
      '{ connectTimeout: 1s, tcp: { idleTimeout: 1h }, http: { requestTimeout: 1m }, grpc: { maxStreamDuration: 1s } }',
    ],
    ['an empty conf', '{}'],
    [
      'empty sections',
      '{ tcp: {}, http: {}, grpc: {} }',
      ['conf.tcp', atLeastOne],
      ['conf.http', atLeastOne],
      ['conf.grpc', atLeastOne],
    ],
    ['a section with streams only', '{ http: { streamIdleTimeout: 1s } }', ['conf.http', atLeastOne]],
    [
      'zeros',
      '{ connectTimeout: 0s, tcp: { idleTimeout: 0s }, http: { requestTimeout: 0s, idleTimeout: 0s }, grpc: { streamIdleTimeout: 0s } }',
      ['conf.connectTimeout', 'has to be greater than 0'],
      ['conf.tcp.idleTimeout', 'has to be greater than 0'],
      ['conf.http.requestTimeout', whenGiven],
      ['conf.http.idleTimeout', whenGiven],
      ['conf.grpc.streamIdleTimeout', whenGiven],
    ],
    [
      'days, which only options and tokens may have',
      '{ connectTimeout: 1d, http: { requestTimeout: 2w } }',
      ['conf.connectTimeout', 'expected a duration such as 10s, 1h30m or 25ms'],
      ['conf.http.requestTimeout', 'expected a duration such as 10s, 1h30m or 25ms'],
    ],
    [
      'more than Envoy can keep',
      '{ http: { requestTimeout: 99999999999999999999h } }',
      ['conf.http.requestTimeout', 'expected at most 292 years (2562047h)'],
    ],
    ['no conf', 'null', ['conf', 'has to be defined']],
  ]),
)('A8 a Timeout is judged as by Kuma 2.14, within the bounds of Envoy: %s', (_title, { yaml, violations }) =>
  expect(violationsOf(policy('Timeout', parse(yaml) ?? undefined))).toEqual(violations),
)

test.each(
  cases([
    ['one of each', '{ http: { numRetries: 1 }, grpc: { retryOn: [internal] }, tcp: { maxConnectAttempts: 1 } }'],
    ['no conf', 'null', ['conf', 'has to be defined']],
    ['no section', '{}', ['conf', 'missing protocol [grpc|http|tcp] configuration']],
    [
      'empty sections',
      '{ http: {}, grpc: {}, tcp: {} }',
      ['conf.http', 'field cannot be empty'],
      ['conf.grpc', 'field cannot be empty'],
      ['conf.tcp.maxConnectAttempts', 'has to be greater than 0'],
    ],
    [
      'zeros',
      '{ http: { numRetries: 0, perTryTimeout: 0s, backOff: { baseInterval: 0s } }, grpc: { backOff: { baseInterval: 1s, maxInterval: 0s } } }',
      ['conf.http.numRetries', whenGiven],
      ['conf.http.perTryTimeout', whenGiven],
      ['conf.http.backOff.baseInterval', 'has to be greater than 0'],
      ['conf.grpc.backOff.maxInterval', whenGiven],
    ],
    [
      'a back-off without its base',
      '{ http: { backOff: { maxInterval: 1s } } }',
      ['conf.http.backOff.baseInterval', 'has to be defined'],
    ],
    [
      'a base above its maximum',
      '{ http: { backOff: { baseInterval: 2s, maxInterval: 1s } } }',
      ['conf.http.backOff.maxInterval', 'has to be greater than or equal to baseInterval'],
    ],
    [
      'status codes that are named and not given, and a method of nothing',
      '{ http: { retriableMethods: [NONE], retryOn: [reset, retriable_status_codes] } }',
      ['conf.http.retriableMethods[0]', 'field cannot be empty'],
      ['conf.http.retryOn[1]', 'retriableStatusCodes cannot be empty when this option is specified'],
    ],
    [
      'repeated conditions',
      '{ grpc: { retryOn: [internal, cancelled, internal] } }',
      ['conf.grpc.retryOn', 'repeated value "internal" at indexes [0, 2]'],
    ],
    [
      'more than 32 bits',
      '{ http: { numRetries: 4294967296, retriableStatusCodes: [4294967296] }, tcp: { maxConnectAttempts: 4294967296 } }',
      ['conf.http.numRetries', 'expected at most 4294967295'],
      ['conf.http.retriableStatusCodes[0]', 'expected at most 4294967295'],
      ['conf.tcp.maxConnectAttempts', 'expected at most 4294967295'],
    ],
  ]),
)('A9 a Retry is judged as by Kuma 2.14, within the bounds of Envoy: %s', (_title, { yaml, violations }) =>
  expect(violationsOf(policy('Retry', parse(yaml) ?? undefined))).toEqual(violations),
)

test.each(['Timeout', 'Retry'])('A9 the destinations of a %s name only services', (type) => {
  const { conf: _conf, ...rest } = policy(type, {})
  const conf = { http: { numRetries: 1, requestTimeout: '1s' } }
  const document = {
    ...rest,
    conf: type === 'Retry' ? { http: { numRetries: 1 } } : { http: { requestTimeout: conf.http.requestTimeout } },
  }
  expect(violationsOf({ ...document, destinations: [{ match: { version: 'v1' } }] })).toEqual([
    ['destinations[0].match', 'must consist of exactly one tag "kuma.io/service"'],
    ['destinations[0].match["version"]', 'tag "version" is not allowed'],
    ['destinations[0].match', 'mandatory tag "kuma.io/service" is missing'],
  ])
})

const mesh = (yaml: string) => ({ type: 'Mesh', name: 'default', ...parse(yaml) })
const ca = (fields: string) => `mtls: { enabledBackend: ca-1, backends: [{ name: ca-1, ${fields} }] }`

test.each(
  cases([
    ['a lifetime of a day', ca('type: builtin, dpCert: { rotation: { expiration: 1d } }')],
    [
      'a lifetime of weeks, and one of years',
      ca('type: builtin, dpCert: { rotation: { expiration: 2w } }, conf: { caCert: { expiration: 10y } }'),
    ],
    [
      'a lifetime with two units',
      ca('type: builtin, dpCert: { rotation: { expiration: 1h30m } }'),
      ['mtls.dpcert.rotation.expiration', 'has to be a valid format'],
    ],
    [
      'an egress without mutual TLS',
      'routing: { zoneEgress: true }',
      ['mtls', 'has to be set when zoneEgress enabled'],
    ],
    [
      'an authority of another type',
      ca('type: vault'),
      ['mtls.backends[0].type', 'could not find installed plugin for this type'],
    ],
    [
      'authorities are judged when all else is right',
      `${ca('type: vault')}\nrouting: { zoneEgress: true }\nlogging: { defaultBackend: none }`,
      ['logging.defaultBackend', 'has to be set to one of the logging backend in mesh'],
    ],
    [
      'a provided authority without its parts',
      ca('type: provided, conf: { cert: { inline: "" } }'),
      ['mtls.backends[0].conf.cert.inline', 'cannot be empty'],
      ['mtls.backends[0].conf.key', 'has to be defined'],
    ],
    [
      'logging',
      'logging: { backends: [{ name: "", type: file }, { name: a, type: tcp, conf: { address: here } }, { name: a, type: syslog }] }',
      ['logging.backends[0].name', 'cannot be empty'],
      ['logging.backends[0].config.path', 'cannot be empty'],
      ['logging.backends[1].config.address', 'has to be in format of HOST:PORT'],
      ['logging.backends[2].type', 'unknown backend type. Available backends: "tcp", "file"'],
      ['logging.backends[2].name', '"a" name is already used for another backend'],
    ],
    [
      'tracing',
      `tracing: { defaultBackend: z, backends: [{ name: a, type: zipkin, sampling: 101, conf: { url: "http://z/api", apiVersion: v1 } },
      { name: b, type: zipkin, conf: { url: here } }, { name: c, type: datadog }, { name: d, type: zipkin, conf: { url: "http://z:9411/api" } }] }`,
      ['tracing.backends[0].sampling', 'has to be in [0.0 - 100.0] range'],
      ['tracing.backends[0].config.apiVersion', 'has invalid value. Allowed values: httpJsonV1, httpJson, httpProto'],
      ['tracing.backends[0].config.url', 'port has to be explicitly specified'],
      ['tracing.backends[1].config.url', 'invalid URL'],
      ['tracing.backends[2].config.address', 'cannot be empty'],
      ['tracing.backends[2].config.port', portReason],
      ['tracing.defaultBackend', 'has to be set to one of the tracing backend in mesh'],
    ],
    [
      'metrics',
      `metrics: { enabledBackend: z, backends: [{ name: a, type: statsd }, { name: a, type: prometheus, conf: { skipMTLS: true, tls: { mode: providedTLS } } },
      { name: b, type: prometheus, conf: { envoy: { filterRegex: "(" } } }, { name: c, type: prometheus, conf: { skipMTLS: true, tls: { mode: disabled } } }] }`,
      ['metrics.backends[0].type', 'unknown backend type. Available backends: "prometheus"'],
      ['metrics.backends[1].name', '"a" name is already used for another backend'],
      ['metrics.backends[1].conf', 'skipMTLS and tls configuration cannot be defined together'],
      [
        'metrics.backends[2].conf.envoy.filterRegex',
        "provided regexp isn't correct: error parsing regexp: missing closing ): `(`",
      ],
      ['metrics.enabledBackend', 'has to be set to one of the backends in the mesh'],
    ],
    [
      'constraints',
      'constraints: { dataplaneProxy: { requirements: [{ tags: {} }], restrictions: [{ tags: { "a b": "" } }] } }',
      ['constraints.dataplaneProxy.requirements[0].tags', 'must have at least one tag'],
      [
        'constraints.dataplaneProxy.restrictions[0].tags["a b"]',
        'tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores',
      ],
      ['constraints.dataplaneProxy.restrictions[0].tags["a b"]', 'tag value must be non-empty'],
    ],
  ]),
)('A10 a Mesh is judged as by Kuma 2.14: %s', (_title, { yaml, violations }) =>
  expect(violationsOf(mesh(yaml))).toEqual(violations),
)

const dayMs = 24 * 60 * 60 * 1_000
test.each([
  ['0', 0],
  ['500ms', 500],
  ['90s', 90_000],
  ['1h', dayMs / 24],
  ['3d', 3 * dayMs],
  ['2w', 14 * dayMs],
  ['10y', 3_650 * dayMs],
  ['1h30m', undefined],
  ['293y', undefined],
  ['d', undefined],
])('A10 the lifetime %s is %s ms', (text, expected) => expect(lifetimeMs(text)).toBe(expected))

test('A10 skipCreatingInitialPolicies gets a warning, because a new mesh gets no policies', () => {
  const result = admit(mesh('skipCreatingInitialPolicies: ["*"]'))
  expect(result.ok && result.value.warnings).toEqual([
    'skipCreatingInitialPolicies: has no effect, as no policies are created with a mesh',
  ])
})

test('A11 the services of a ZoneIngress have tags, and its admin port may equal a port of another interface', () => {
  const ingress = (rest: string) => ({ type: 'ZoneIngress', name: 'in', ...parse(rest) })
  expect(violationsOf(ingress('networking: { address: 10.0.0.1, port: 1, admin: { port: 1 } }'))).toEqual([])
  expect(violationsOf(ingress('networking: { address: 127.0.0.1, port: 1, admin: { port: 1 } }'))).toEqual([
    ['networking.admin.port', 'must differ from port'],
  ])
  expect(violationsOf(ingress('networking: { port: 1 }\navailableServices: [{ tags: { version: } }]'))).toEqual([
    ['availableService[0].tags["version"]', 'tag value must be non-empty'],
    ['availableService[0].tags', 'mandatory tag "kuma.io/service" is missing'],
  ])
})
