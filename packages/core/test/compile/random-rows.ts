import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import fc from 'fast-check'
import { builtinGateway, global, httpRoute, meshGateway, mtlsMesh, prefixRule, sidecar, zoned } from './scene.ts'

export type Step =
  | { readonly op: 'put'; readonly key: ResourceKey; readonly spec: unknown }
  | { readonly op: 'remove'; readonly key: ResourceKey }

const service = fc.constantFrom('a', 'b', 'c_default_svc_8080', 'B')
const version = fc.constantFrom<Record<string, string>>({}, { version: 'v1' }, { version: 'v2', team: 'red' })
const protocol = fc.constantFrom('http', 'tcp', 'grpc', 'http2')
const index = fc.integer({ min: 0, max: 3 })

const mesh = fc
  .tuple(
    fc.constantFrom('default', 'default', 'other'),
    fc.constantFrom<unknown>(mtlsMesh(), mtlsMesh('PERMISSIVE'), {}),
  )
  .map(([name, spec]) => ({ key: global('Mesh', name, ''), spec }))

const zone = fc
  .tuple(fc.constantFrom('west', 'north'), fc.boolean())
  .map(([name, enabled]) => ({ key: global('Zone', name, ''), spec: { enabled } }))

const ownDataplane = fc
  .tuple(index, service, version, protocol, fc.constantFrom('Ready', 'NotReady', 'Ignored'), fc.boolean(), service)
  .map(([at, name, tags, spoken, state, hasOutbound, target]) => {
    const spec = sidecar(`10.0.0.${at + 1}`, name, { ...tags, 'kuma.io/protocol': spoken })
    const inbound = spec.networking.inbound.map((one) => ({ ...one, state }))
    const outbound = hasOutbound ? [{ port: 9000 + at, tags: { 'kuma.io/service': target, ...tags } }] : []
    return {
      key: zoned('east', 'Dataplane', `dp-${at}`),
      spec: { networking: { ...spec.networking, inbound, outbound } },
    }
  })

/** A sidecar of another mesh that calls gateways of this mesh and of its own. */
const foreignDataplane = fc
  .tuple(index, fc.constantFrom('edge-gateway', 'other-gateway', 'a'), fc.constantFrom('default', 'other'), version)
  .map(([at, target, home, tags]) => {
    const { networking } = sidecar(`10.0.2.${at + 1}`, 'foreign')
    const outbound = [{ port: 9100 + at, tags: { 'kuma.io/service': target, 'kuma.io/mesh': home, ...tags } }]
    return { key: zoned('east', 'Dataplane', `dp-${at}`, 'other'), spec: { networking: { ...networking, outbound } } }
  })

const gatewayDataplane = fc
  .tuple(fc.integer({ min: 0, max: 1 }), fc.constantFrom('edge-gateway', 'other-gateway'))
  .map(([at, name]) => ({
    key: zoned('east', 'Dataplane', `gw-${at}`),
    spec: builtinGateway(at === 0 ? '10.0.1.1' : '127.0.0.9', name),
  }))

const hostname = fc.constantFrom('', '*', 'a.example.com', '*.example.com', '*.com')

const tls = fc.constantFrom<object>(
  {},
  { tls: { mode: 'PASSTHROUGH' } },
  { tls: { mode: 'TERMINATE', certificates: [{ secret: 'one' }] } },
  { tls: { mode: 'TERMINATE', certificates: [{ secret: 'one' }, { secret: 'two' }] } },
)

const gateway = fc
  .tuple(
    fc.integer({ min: 0, max: 1 }),
    fc.array(
      fc.tuple(hostname, fc.constantFrom(80, 81), fc.constantFrom('HTTP', 'HTTPS', 'TLS', 'TCP'), tls, fc.boolean()),
      { maxLength: 4 },
    ),
    fc.boolean(),
  )
  .map(([at, listeners, crossMesh]) => ({
    key: global('MeshGateway', `gateway-${at}`),
    spec: meshGateway(
      listeners.map(([name, port, spoken, ends, isLimited]) => ({
        hostname: name,
        port,
        protocol: spoken,
        tags: { port: String(port) },
        ...ends,
        ...(isLimited ? { resources: { connectionLimit: port } } : {}),
        ...(crossMesh && port === 80 ? { crossMesh } : {}),
      })),
    ),
  }))

const certificate = fc
  .tuple(fc.constantFrom('one', 'two'), fc.constantFrom('rsa', 'ecdsa', 'none'), fc.constantFrom('f', 'g'))
  .map(([secret, keyType, fingerprint]) => ({
    key: global('GatewayCertificate', `${secret}.east`),
    spec:
      keyType === 'none'
        ? { secret, zone: 'east', problem: 'no key' }
        : { secret, zone: 'east', keyType, names: [], notAfterMs: 1, fingerprint, sealed: 's' },
  }))

const tcpRoute = fc
  .tuple(index, fc.array(fc.tuple(service, fc.integer({ min: 0, max: 2 })), { minLength: 1, maxLength: 3 }))
  .map(([at, backends]) => ({
    key: global('MeshGatewayRoute', `tcp-${at}`),
    spec: {
      selectors: [{ match: { 'kuma.io/service': 'edge-gateway', ...(at > 1 ? { port: '80' } : {}) } }],
      conf: {
        tcp: {
          rules: [
            { backends: backends.map(([name, weight]) => ({ weight, destination: { 'kuma.io/service': name } })) },
          ],
        },
      },
    },
  }))

const filters = service.chain((name) =>
  fc.constantFrom<object[]>(
    [],
    [{ rewrite: { replaceFull: '/new' } }],
    [{ rewrite: { replacePrefixMatch: '/new' } }, { rewrite: { hostToBackendHostname: true } }],
    [{ requestHeader: { set: [{ name: 'x-a', value: '1' }] } }, { responseHeader: { remove: ['x-b'] } }],
    [{ mirror: { percentage: 12.5, backend: { destination: { 'kuma.io/service': name, version: 'v1' } } } }],
  ),
)

const route = fc
  .tuple(
    index,
    fc.constantFrom('/', '/a', '/a/b', '/c/'),
    fc.array(service, { minLength: 1, maxLength: 2 }),
    fc.array(fc.constantFrom('a.example.com', '*.example.com', 'b.com', '*.com'), { maxLength: 2 }),
    fc.constantFrom<Record<string, string>>({}, { port: '80' }, { port: '81' }),
    fc.constantFrom('PREFIX', 'EXACT', 'REGEX'),
    fc.oneof(version, fc.constant<Record<string, string>>({ 'kuma.io/mesh': 'other' })),
    fc.tuple(fc.constantFrom(undefined, 'https'), filters),
  )
  .map(([at, path, services, hostnames, selector, match, tags, [scheme, filtered]]) => ({
    key: global('MeshGatewayRoute', `route-${at}`),
    spec: httpRoute(
      [
        {
          matches: [{ path: { match, value: path } }],
          filters: filtered,
          backends: services.map((name) => ({ destination: { 'kuma.io/service': name, ...tags } })),
        },
        prefixRule('/both', ...services),
        {
          matches: [{ path: { match: 'PREFIX', value: `${path}/away` } }],
          filters: [
            { redirect: { statusCode: 302, ...(scheme ? { scheme } : {}), path: { replacePrefixMatch: '/' } } },
          ],
        },
      ],
      { hostnames },
      selector,
    ),
  }))

const policy = fc
  .tuple(
    index,
    fc.constantFrom('Timeout', 'Retry', 'TrafficPermission'),
    fc.constantFrom('*', 'a', 'edge-gateway'),
    fc.constantFrom('*', 'a', 'b'),
  )
  .map(([at, kind, source, destination]) => ({
    key: global(kind, `policy-${at}`),
    spec: {
      sources: [{ match: { 'kuma.io/service': source } }],
      destinations: [{ match: { 'kuma.io/service': destination } }],
      conf:
        kind === 'Timeout'
          ? { connectTimeout: `${at + 1}s`, http: { requestTimeout: `${at}s` } }
          : kind === 'Retry'
            ? { http: { numRetries: at, perTryTimeout: '1s' }, tcp: { maxConnectAttempts: at } }
            : undefined,
    },
  }))

const permission = fc
  .tuple(fc.integer({ min: 0, max: 1 }), fc.constantFrom('Allow', 'Deny'), fc.boolean())
  .map(([at, action, subset]) => ({
    key: global('MeshTrafficPermission', `permission-${at}`),
    spec: {
      from: [
        {
          targetRef: subset ? { kind: 'MeshSubset', tags: { 'kuma.io/service': 'a', team: 'red' } } : { kind: 'Mesh' },
          default: { action },
        },
      ],
    },
  }))

const announcement = fc
  .tuple(fc.constantFrom('west', 'north'), index, service, version, protocol, fc.integer({ min: 1, max: 3 }))
  .map(([from, at, name, tags, spoken, instances]) => ({
    key: zoned(from, 'AvailableService', `s-${at}`),
    spec: { tags: { 'kuma.io/service': name, 'kuma.io/zone': from, 'kuma.io/protocol': spoken, ...tags }, instances },
  }))

const crossMeshAnnouncement = fc
  .tuple(fc.constantFrom('west', 'north'), index, fc.constantFrom('80', '81'), version)
  .map(([from, at, port, tags]) => ({
    key: zoned(from, 'AvailableService', `x-${at}`),
    spec: {
      tags: {
        ...{ 'kuma.io/service': 'edge-gateway', 'kuma.io/zone': from, 'kuma.io/mesh': 'default' },
        ...{ 'zonemesh.io/port': port, ...tags },
      },
      instances: 1,
    },
  }))

const ingress = fc
  .tuple(fc.constantFrom('east', 'west', 'north'), fc.integer({ min: 0, max: 1 }), fc.boolean())
  .map(([from, at, advertised]) => ({
    key: zoned(from, 'ZoneIngress', `ingress-${at}`, ''),
    spec: {
      networking: {
        address: `10.1.0.${at + 1}`,
        port: 10001,
        ...(advertised
          ? { advertisedAddress: from === 'west' ? '10.2.0.1' : '10.3.0.1', advertisedPort: 10001 + at }
          : {}),
      },
    },
  }))

const virtualAddress = fc
  .tuple(
    fc.oneof(service, fc.constantFrom('@a.example.com', '@internal.gateway-0.default.mesh')),
    fc.constantFrom(0, 1, 2, 5000),
    fc.boolean(),
  )
  .map(([name, number, released]) => ({
    key: zoned('east', 'VirtualAddress', name),
    spec: released ? { number, releasedAtMs: 1 } : { number },
  }))

/** A standalone zone's own rows, which rows of the global with the same name hide. */
const own = fc.oneof(mesh, gateway, route, policy).map(({ key, spec }) => ({ key: { ...key, origin: 'east' }, spec }))

/** Kinds whose rows only planes write, or for which any row with selectors is valid. */
const trusted = new Set(['VirtualAddress', 'TrafficPermission', 'GatewayCertificate'])

const good = fc.oneof(
  { arbitrary: ownDataplane, weight: 4 },
  gatewayDataplane,
  foreignDataplane,
  crossMeshAnnouncement,
  { arbitrary: route, weight: 4 },
  gateway,
  certificate,
  tcpRoute,
  mesh,
  zone,
  policy,
  permission,
  announcement,
  ingress,
  virtualAddress,
  own,
)

/** Values that admission would refuse. */
const junk = fc.constantFrom<unknown>(
  {},
  { networking: 5 },
  { networking: { address: 'host.example', inbound: [{ tags: { 'kuma.io/service': 'a' } }] } },
  { networking: { address: '10.0.0.9', inbound: [{ port: 1, tags: 3 }], gateway: null } },
  { selectors: 7, sources: 7, destinations: 7 },
  {
    selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
    conf: { http: { rules: [{ matches: 3, backends: [{}] }] }, listeners: 4 },
  },
  { from: [{}] },
  { tags: null, number: 'x' },
  {
    networking: {
      address: '10.0.0.8',
      inbound: [{ port: 'x', tags: { 'kuma.io/service': 'a' } }],
      advertisedAddress: '10.0.0.7',
      advertisedPort: 'x',
    },
  },
  {
    networking: {
      address: '10.0.0.8',
      inbound: [{ port: 80, tags: { 'kuma.io/service': 'a', 'kuma.io/zone': [4] } }],
      gateway: undefined,
    },
  },
  { tags: { 'kuma.io/service': 'a', 'kuma.io/zone': 1 }, instances: 'x' },
  {
    selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
    conf: {
      http: {
        rules: [
          { matches: [{ path: { value: 7 } }], backends: [{ weight: 'x', destination: { 'kuma.io/service': 'a' } }] },
        ],
      },
    },
  },
  {
    selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
    conf: {
      http: {
        rules: [
          {
            matches: [{ path: { match: 'SUFFIX', value: '/' } }],
            backends: [{ destination: { 'kuma.io/service': 'a' } }],
          },
        ],
      },
    },
  },
  {
    sources: [{ match: { 'kuma.io/service': '*', version: '*' } }],
    destinations: [{ match: { 'kuma.io/service': '*', 'kuma.io/zone': '*' } }],
    conf: { connectTimeout: { seconds: 3 }, tcp: { maxConnectAttempts: 'x' } },
  },
)

/** One change in a world of few names, so that changes often concern the same rows. */
export const goodStep: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: good.map(({ key, spec }): Step => ({ op: 'put', key, spec })), weight: 5 },
  { arbitrary: good.map(({ key }): Step => ({ op: 'remove', key })), weight: 1 },
)
export const badPut = fc
  .tuple(
    good.filter(({ key }) => !trusted.has(key.kind)),
    junk,
  )
  .map(([{ key }, spec]) => ({ op: 'put' as const, key: { ...key, name: `${key.name}-bad` }, spec }))
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: goodStep, weight: 8 },
  { arbitrary: fc.tuple(good, junk).map(([{ key }, spec]): Step => ({ op: 'put', key, spec })), weight: 1 },
)
