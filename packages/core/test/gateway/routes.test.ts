import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { createScene, global, httpRoute, prefixRule, sidecar, twoZones, zoned } from '../compile/scene.ts'

const facts = { canBindPort80: true }
const gatewayProxy = 'east/Dataplane/default/edge-gateway-1'
const routeTable = 'edge-gateway:HTTP:18080:*'

/** Both zones of the scene, with these MeshGatewayRoutes in addition to the one that sends all requests to echo. */
function withRoutes(routes: Readonly<Record<string, unknown>>) {
  const scene = createScene()
  const versions = [
    ...twoZones(scene),
    scene.put(zoned('west', 'Dataplane', 'copy-1'), sidecar('127.42.0.4', 'copy', { a: '1', b: '2', c: '3' })),
    scene.put(zoned('west', 'AvailableService', 'a2'), {
      tags: { 'kuma.io/service': 'copy', 'kuma.io/protocol': 'http', 'kuma.io/zone': 'west', a: '1', b: '2', c: '3' },
      instances: 2,
    }),
    ...Object.entries(routes).map(([name, spec]) => scene.put(global('MeshGatewayRoute', name), spec)),
  ]
  const east = createCompiler({ zone: 'east' })
  const west = createCompiler({ zone: 'west' })
  for (const compiler of [east, west]) compiler.apply(versions, scene.revision)
  return { scene, east, west, gateway: () => east.table(gatewayProxy, facts) }
}

const subset = { 'kuma.io/service': 'copy', a: '1', b: '2', c: '3' }
const mirrored = httpRoute([
  { ...prefixRule('/m', 'echo'), filters: [{ mirror: { percentage: 50, backend: { destination: subset } } }] },
])
const tcp = {
  selectors: [{ match: { 'kuma.io/service': 'edge-gateway' } }],
  conf: { tcp: { rules: [{ backends: [{ destination: subset }] }] } },
}

interface ClusterJson {
  readonly transport_socket?: { readonly typed_config: { readonly sni: string } }
}
interface ListenerJson {
  readonly filter_chains: readonly { readonly filter_chain_match?: { readonly server_names?: readonly string[] } }[]
}

test.each([
  ['a mirror', mirrored],
  ['a TCP route', tcp],
])('GW8 %s for tagged instances in another zone: the ingress of that zone serves this SNI', (_title, spec) => {
  const { west } = withRoutes({ m: spec })
  const table = west.table('west/ZoneIngress//ingress-west', facts)
  // The tests declare the fields of the decoded listener that they read.
  const listener = decoded(table, typeUrls.listener)['inbound:127.42.0.2:10001'] as ListenerJson
  const names = listener.filter_chains.flatMap((chain) => chain.filter_chain_match?.server_names ?? [])
  expect(names).toContain('copy{a=1,b=2,c=3,mesh=default}')
})

test('GW8 the gateway uses that SNI, with its own cluster and endpoints', () => {
  const { gateway } = withRoutes({ m: mirrored })
  const [name, cluster] =
    Object.entries(decoded(gateway(), typeUrls.cluster)).find(([one]) => one.startsWith('copy-')) ?? []
  // The tests declare the fields of the decoded cluster that they read.
  expect((cluster as ClusterJson).transport_socket?.typed_config.sni).toBe('copy{a=1,b=2,c=3,mesh=default}')
  expect(decoded(gateway(), typeUrls.assignment)[name ?? '']).toMatchObject({
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.42.0.102' } } } }] }],
  })
})

const redirect = (more: object) =>
  httpRoute([{ matches: [{ path: { value: '/bad' } }], filters: [{ redirect: { statusCode: 302, ...more } }] }])
const filtering = (filter: object) => httpRoute([{ ...prefixRule('/bad', 'echo'), filters: [filter] }])

test.each<[string, unknown, string]>([
  ['a status', redirect({ statusCode: 304 }), 'redirect status code 304 is not supported'],
  ['a scheme', redirect({ scheme: 'ftp' }), 'redirect.scheme: expected http or https, found "ftp"'],
  ['a port', redirect({ port: 1_000_000 }), 'redirect.port: expected a port, found 1000000'],
  [
    'a percentage',
    filtering({ mirror: { percentage: 101, backend: { destination: subset } } }),
    'mirror.percentage: expected a number from 0 to 100, found 101',
  ],
  [
    'a mirror without a service',
    filtering({ mirror: { percentage: 1, backend: { destination: { a: 'b' } } } }),
    'a backend has no tag "kuma.io/service"',
  ],
  [
    'a header',
    filtering({ requestHeader: { add: [{ name: 'a', value: '%COALESCE(1)%' }] } }),
    'header a: value has a "%" at 0 that begins none of the commands that can be used; write "%%" for the sign itself',
  ],
  [
    'weights',
    httpRoute([
      {
        ...prefixRule('/bad'),
        backends: ['a', 'b'].map((one) => ({ weight: 4e9, destination: { 'kuma.io/service': one } })),
      },
    ]),
    'the sum of weights: expected a whole number, found 8000000000',
  ],
])('GW13 %s that admission did not check harms only its own route', (_title, spec, reason) => {
  const good = withRoutes({})
  const { gateway } = withRoutes({ bad: spec })
  const found = gateway()
  expect(found?.problems).toEqual([{ source: 'global/MeshGatewayRoute/default/bad', reason }])
  expect(decoded(found, typeUrls.route)).toEqual(decoded(good.gateway(), typeUrls.route))
  expect(decoded(found, typeUrls.cluster)).toEqual(decoded(good.gateway(), typeUrls.cluster))
})

test.each([
  ['redirects', redirect({})],
  ['mirrors', mirrored],
])('GW13 a route that %s can be blamed for a refusal and is left out with everything that it needs', (_title, spec) => {
  const good = withRoutes({})
  const { east, gateway } = withRoutes({ blamed: spec })
  const source = 'global/MeshGatewayRoute/default/blamed'
  const hash = gateway()?.resources.get(typeUrls.route)?.get(routeTable)?.contributions?.get(source)
  expect(hash).toBeDefined()
  expect([...east.exclude(source, hash ?? '')]).toEqual([gatewayProxy])
  for (const type of [typeUrls.route, typeUrls.cluster, typeUrls.assignment])
    expect(decoded(gateway(), type)).toEqual(decoded(good.gateway(), type))
})
