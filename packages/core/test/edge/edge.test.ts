import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { sniOf } from '../../src/edge/sni.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { createScene, global, httpRoute, mtlsMesh, prefixRule, type Scene, sidecar, zoned } from '../compile/scene.ts'

test.each([
  [{ 'kuma.io/service': 'backend' }, 'backend{mesh=default}'],
  [
    { version: 'v1', 'kuma.io/service': 'backend', 'kuma.io/zone': 'east' },
    'backend{kuma.io/zone=east,mesh=default,version=v1}',
  ],
  [{ 'kuma.io/service': 'backend', zone: 'z', app: 'a' }, 'backend{app=a,mesh=default,zone=z}'],
])('EI1 the SNI contains service, mesh and sorted tags: %o', (tags, expected) =>
  expect(sniOf('default', tags)).toBe(expected),
)

interface ListenerJson {
  readonly filter_chains: readonly {
    readonly filter_chain_match?: { readonly server_names?: readonly string[] }
    readonly filters: readonly {
      readonly typed_config: { readonly cluster?: string; readonly metadata_match?: object }
    }[]
  }[]
}

const ingressKey = zoned('west', 'ZoneIngress', 'in', '')
const ingress = { networking: { address: '10.0.0.1', port: 10001 } }

function ingressOf(build: (scene: Scene) => readonly Version[]) {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'west' })
  compiler.apply([scene.put(ingressKey, ingress), ...build(scene)], scene.revision)
  const table = compiler.table('west/ZoneIngress//in', { canBindPort80: false })
  // The tests declare the fields of the decoded listener that they read.
  const listener = decoded(table, typeUrls.listener)['inbound:10.0.0.1:10001'] as ListenerJson
  return {
    table,
    listener,
    snis: listener.filter_chains.flatMap((chain) => chain.filter_chain_match?.server_names ?? []),
    clusters: decoded(table, typeUrls.cluster),
  }
}

test('EI2 an ingress has a chain for the service, for each tag and each pair of tags, for the whole tag set, and for the tag sets of routes', () => {
  const { snis, clusters } = ingressOf((scene) => [
    scene.put(zoned('west', 'Dataplane', 'a'), sidecar('10.0.0.2', 'echo', { a: '1', b: '2' })),
    scene.put(global('MeshGatewayRoute', 'r'), {
      ...httpRoute([
        {
          ...prefixRule('/'),
          backends: [{ destination: { 'kuma.io/service': 'echo', 'kuma.io/protocol': 'http', a: '1' } }],
        },
        {
          ...prefixRule('/m', 'other'),
          filters: [{ mirror: { percentage: 1, backend: { destination: { 'kuma.io/service': 'echo', c: '3' } } } }],
        },
      ]),
    }),
  ])
  expect(snis).toEqual(
    [
      'echo{a=1,b=2,kuma.io/protocol=http,kuma.io/zone=west,mesh=default}',
      'echo{a=1,b=2,mesh=default}',
      'echo{a=1,kuma.io/protocol=http,mesh=default}',
      'echo{a=1,kuma.io/zone=west,mesh=default}',
      'echo{a=1,mesh=default}',
      'echo{b=2,kuma.io/zone=west,mesh=default}',
      'echo{b=2,mesh=default}',
      'echo{c=3,mesh=default}',
      'echo{kuma.io/zone=west,mesh=default}',
      'echo{mesh=default}',
    ].sort(),
  )
  expect(clusters['default:echo']).toMatchObject({
    type: 'EDS',
    alt_stat_name: 'default_echo',
    lb_subset_config: { fallback_policy: 'ANY_ENDPOINT' },
  })
})

test('EI3 an ingress has chains only for the service and the whole tag sets if the tags have more than 64 subsets', () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_unused, at) => [`tag-${at}`, 'x']))
  const { snis } = ingressOf((scene) => [scene.put(zoned('west', 'Dataplane', 'a'), sidecar('10.0.0.2', 'echo', many))])
  expect(snis).toHaveLength(2)
  expect(snis).toContain('echo{mesh=default}')
})

test('EI4 SNIs that differ only in letter case share one chain, and a problem is reported', () => {
  const { snis, table } = ingressOf((scene) => [
    scene.put(zoned('west', 'Dataplane', 'a'), sidecar('10.0.0.2', 'echo')),
    scene.put(zoned('west', 'Dataplane', 'b'), sidecar('10.0.0.3', 'Echo')),
  ])
  expect(snis.map((sni) => sni.toLowerCase())).toEqual([...new Set(snis.map((sni) => sni.toLowerCase()))])
  expect(snis).toContain('Echo{mesh=default}')
  expect(table?.problems.map((one) => one.source)).toContain('sni/echo{mesh=default}')
})

test('EI5 an ingress without services names itself in its listener', () => {
  const { table, snis } = ingressOf(() => [])
  expect(snis).toEqual([])
  expect(JSON.stringify(decoded(table, typeUrls.listener))).toContain(String.raw`{\"proxy\":\"in\",\"zone\":\"west\"}`)
})

interface AssignmentJson {
  readonly endpoints?: readonly {
    readonly locality?: { readonly zone: string }
    readonly lb_endpoints: readonly {
      readonly endpoint: {
        readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } }
      }
      readonly load_balancing_weight: number
      readonly metadata?: { readonly filter_metadata: Record<string, Record<string, string>> }
    }[]
  }[]
}

const remote = (scene: Scene, zone: string, name: string, tags: Record<string, string>, instances: number) =>
  scene.put(zoned(zone, 'AvailableService', name), {
    tags: { 'kuma.io/service': 'echo', 'kuma.io/zone': zone, ...tags },
    instances,
  })
const way = (scene: Scene, zone: string, name: string, address?: string, port = 10001) =>
  scene.put(zoned(zone, 'ZoneIngress', name, ''), {
    networking: {
      address: '10.0.0.1',
      port: 10001,
      ...(address ? { advertisedAddress: address, advertisedPort: port } : {}),
    },
  })
const enabledZones = (scene: Scene) =>
  ['east', 'west', 'north'].map((zone) => scene.put(global('Zone', zone, ''), { enabled: true }))
const mesh = (scene: Scene, spec: object = mtlsMesh()) => scene.put(global('Mesh', 'default', ''), spec)

const viaEgress = { ...mtlsMesh(), routing: { zoneEgress: true } }
const egress = (scene: Scene, zone: string, name: string, address: string, labels: Record<string, string> = {}) =>
  scene.put(zoned(zone, 'ZoneEgress', name, ''), { networking: { address, port: 10002 } }, labels)

function endpointsOf(build: (scene: Scene) => readonly Version[], tags: Record<string, string> = {}) {
  const scene = createScene()
  const client = {
    networking: {
      address: '10.0.0.9',
      inbound: [{ port: 1, servicePort: 2, tags: { 'kuma.io/service': 'client' } }],
      outbound: [{ port: 9000, tags: { 'kuma.io/service': 'echo', ...tags } }],
    },
  }
  const compiler = createCompiler({ zone: 'east' })
  const versions = [scene.put(zoned('east', 'Dataplane', 'client'), client), ...enabledZones(scene), ...build(scene)]
  compiler.apply(versions, scene.revision)
  const table = compiler.table('east/Dataplane/default/client', { canBindPort80: false })
  // The tests declare the fields of the decoded assignment that they read.
  const [assignment] = Object.values(decoded(table, typeUrls.assignment)) as AssignmentJson[]
  return {
    table,
    found: (assignment?.endpoints ?? []).flatMap((group) =>
      group.lb_endpoints.map(({ endpoint, load_balancing_weight: weight }) => {
        const { address, port_value: port } = endpoint.address.socket_address
        return `${group.locality?.zone} ${address}:${port} ${weight}`
      }),
    ),
    assignment,
  }
}

test.each<[string, (scene: Scene) => readonly Version[], readonly string[], Record<string, string>?]>([
  [
    'instances of the own zone have weight 1 if no other zone serves the service',
    (s) => [mesh(s), s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo'))],
    ['east 10.1.0.1:10080 1'],
  ],
  [
    'an ingress has the weight of the instances behind it, and own instances the number of ingresses',
    (s) => [
      mesh(s),
      s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo')),
      way(s, 'west', 'w1', '10.2.0.1'),
      way(s, 'west', 'w2', '10.2.0.2'),
      remote(s, 'west', 'x', {}, 3),
    ],
    ['east 10.1.0.1:10080 2', 'west 10.2.0.1:10001 3', 'west 10.2.0.2:10001 3'],
  ],
  [
    'zones without the service do not count',
    (s) => [
      mesh(s),
      s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo')),
      way(s, 'west', 'w1', '10.2.0.1'),
      way(s, 'north', 'n1', '10.3.0.1'),
      remote(s, 'west', 'x', {}, 3),
    ],
    ['east 10.1.0.1:10080 1', 'west 10.2.0.1:10001 3'],
  ],
  [
    'two ingresses with one address count once',
    (s) => [mesh(s), way(s, 'west', 'w1', '10.2.0.1'), way(s, 'west', 'w2', '10.2.0.1'), remote(s, 'west', 'x', {}, 2)],
    ['west 10.2.0.1:10001 2'],
  ],
  [
    'the tag sets of a zone are added',
    (s) => [
      mesh(s),
      way(s, 'west', 'w1', '10.2.0.1'),
      remote(s, 'west', 'x', { v: '1' }, 2),
      remote(s, 'west', 'y', { v: '2' }, 3),
    ],
    ['west 10.2.0.1:10001 5'],
  ],
  [
    'tags select among the tag sets',
    (s) => [
      mesh(s),
      way(s, 'west', 'w1', '10.2.0.1'),
      remote(s, 'west', 'x', { v: '1' }, 2),
      remote(s, 'west', 'y', { v: '2' }, 3),
    ],
    ['west 10.2.0.1:10001 3'],
    { v: '2' },
  ],
  [
    'without mutual TLS no endpoint is in another zone',
    (s) => [mesh(s, {}), way(s, 'west', 'w1', '10.2.0.1'), remote(s, 'west', 'x', {}, 2)],
    [],
  ],
  [
    'an ingress without an advertised address is left out',
    (s) => [mesh(s), way(s, 'west', 'w1'), remote(s, 'west', 'x', {}, 2)],
    [],
  ],
  [
    'an ingress with a name as address is left out',
    (s) => [mesh(s), way(s, 'west', 'w1', 'ingress.example'), remote(s, 'west', 'x', {}, 2)],
    [],
  ],
  [
    'a disabled zone is left out',
    (s) => [
      mesh(s),
      s.put(global('Zone', 'west', ''), { enabled: false }),
      way(s, 'west', 'w1', '10.2.0.1'),
      remote(s, 'west', 'x', {}, 2),
    ],
    [],
  ],
  [
    'a zone whose Zone was deleted is left out',
    (s) => [
      mesh(s),
      s.remove(global('Zone', 'west', '')),
      way(s, 'west', 'w1', '10.2.0.1'),
      way(s, 'north', 'n1', '10.3.0.1'),
      remote(s, 'west', 'x', {}, 2),
      remote(s, 'north', 'y', {}, 1),
    ],
    ['north 10.3.0.1:10001 1'],
  ],
  [
    'if the mesh uses egresses, other zones are behind the egresses of the own zone, with the weight of all their instances',
    (s) => [
      mesh(s, viaEgress),
      s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo')),
      way(s, 'west', 'w1', '10.2.0.1'),
      way(s, 'north', 'n1', '10.3.0.1'),
      remote(s, 'west', 'x', {}, 3),
      remote(s, 'north', 'x', {}, 2),
      egress(s, 'east', 'e1', '10.1.0.7'),
      egress(s, 'east', 'e2', '10.1.0.8'),
      egress(s, 'west', 'e3', '10.2.0.9'),
      egress(s, 'east', 'on-its-way', '10.1.0.10', { 'zonemesh.io/arriving': 'yes' }),
    ],
    ['east 10.1.0.1:10080 2', 'east 10.1.0.7:10002 5', 'east 10.1.0.8:10002 5'],
  ],
  [
    'instances of the own zone need no egress',
    (s) => [mesh(s, viaEgress), s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo'))],
    ['east 10.1.0.1:10080 1'],
  ],
  [
    'if the mesh uses egresses and the zone has none, no endpoint is in another zone',
    (s) => [mesh(s, viaEgress), way(s, 'west', 'w1', '10.2.0.1'), remote(s, 'west', 'x', {}, 2)],
    [],
  ],
  [
    'an egress is left out if no zone serves the service',
    (s) => [mesh(s, viaEgress), egress(s, 'east', 'e1', '10.1.0.7'), remote(s, 'west', 'x', {}, 2)],
    [],
  ],
  [
    'an egress is not used if the mesh does not use egresses',
    (s) => [
      mesh(s),
      egress(s, 'east', 'e1', '10.1.0.7'),
      way(s, 'west', 'w1', '10.2.0.1'),
      remote(s, 'west', 'x', {}, 2),
    ],
    ['west 10.2.0.1:10001 2'],
  ],
])('EI6 EG1 EG2 Z27 the endpoints of a service: %s', (_title, build, expected, tags = {}) =>
  expect(endpointsOf(build, tags).found).toEqual(expected),
)

test('EI7 the metadata of an endpoint has its tags without the service, for load balancing and for transport sockets', () => {
  const { assignment } = endpointsOf((s) => [
    mesh(s),
    s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo', { v: '1' })),
  ])
  const tags = { 'kuma.io/protocol': 'http', 'kuma.io/zone': 'east', v: '1' }
  expect(assignment?.endpoints?.[0]?.lb_endpoints[0]?.metadata?.filter_metadata).toEqual({
    'envoy.lb': tags,
    'envoy.transport_socket_match': tags,
  })
})

test('EG3 an egress routes the SNIs that its zone uses to the ingresses of the serving zones, even if the mesh does not use egresses', () => {
  const scene = createScene()
  const client = {
    networking: {
      address: '10.0.0.9',
      inbound: [{ port: 1, servicePort: 2, tags: { 'kuma.io/service': 'client' } }],
      outbound: [{ port: 9000, tags: { 'kuma.io/service': 'echo', v: '2' } }],
    },
  }
  const crossMesh = {
    'kuma.io/service': 'door',
    'kuma.io/zone': 'west',
    'kuma.io/mesh': 'other',
    'zonemesh.io/port': '80',
  }
  const compiler = createCompiler({ zone: 'east' })
  const versions = [
    mesh(scene),
    scene.put(global('Mesh', 'other', ''), mtlsMesh()),
    scene.put(zoned('east', 'Dataplane', 'client'), client),
    scene.put(global('MeshGatewayRoute', 'r'), {
      ...httpRoute([
        { ...prefixRule('/'), backends: [{ destination: { 'kuma.io/service': 'echo', 'kuma.io/zone': 'north' } }] },
      ]),
    }),
    ...enabledZones(scene),
    way(scene, 'west', 'w1', '10.2.0.1'),
    way(scene, 'north', 'n1', '10.3.0.1'),
    remote(scene, 'west', 'x', { v: '1' }, 3),
    remote(scene, 'north', 'y', { v: '2' }, 2),
    scene.put(zoned('west', 'AvailableService', 'door', 'other'), { tags: crossMesh, instances: 1 }),
    scene.put(zoned('east', 'Dataplane', 'caller'), {
      networking: {
        address: '10.0.0.8',
        outbound: [{ port: 9001, tags: { 'kuma.io/service': 'door', 'kuma.io/mesh': 'other' } }],
      },
    }),
    egress(scene, 'east', 'out', '10.1.0.7'),
  ]
  compiler.apply(versions, scene.revision)
  const table = compiler.table('east/ZoneEgress//out', { canBindPort80: false })
  // The tests declare the fields of the decoded listener and assignments that they read.
  const listener = decoded(table, typeUrls.listener)['inbound:10.1.0.7:10002'] as ListenerJson
  const assignments = decoded(table, typeUrls.assignment) as Record<string, AssignmentJson>
  const led = listener.filter_chains.map(({ filter_chain_match: match, filters }) => {
    const found = assignments[filters[0]?.typed_config.cluster ?? '']?.endpoints ?? []
    const at = found.flatMap((group) => group.lb_endpoints).map(({ endpoint }) => endpoint.address.socket_address)
    return [match?.server_names?.join(), at.map(({ address, port_value: port }) => `${address}:${port}`)]
  })
  expect(Object.fromEntries(led)).toEqual({
    'echo{mesh=default}': ['10.3.0.1:10001', '10.2.0.1:10001'],
    'echo{mesh=default,v=2}': ['10.3.0.1:10001'],
    'echo{kuma.io/zone=north,mesh=default}': ['10.3.0.1:10001'],
    'door{mesh=other}': ['10.2.0.1:10001'],
  })
  expect(compiler.look('east/ZoneEgress//out', { canBindPort80: false }).problems).toEqual([])
})

test.each([
  ['with mutual TLS is 60 s, because an ingress can be in between', mtlsMesh(), '60s'],
  ['without mutual TLS is unlimited, because all instances are in the own zone', {}, '0s'],
])('GW27 the lifetime of a connection %s', (_title, spec, expected) => {
  const { table } = endpointsOf((s) => [
    mesh(s, spec),
    s.put(zoned('east', 'Dataplane', 'a'), sidecar('10.1.0.1', 'echo')),
  ])
  const clusters = JSON.stringify(decoded(table, typeUrls.cluster)['echo'])
  expect(clusters).toContain(`"max_connection_duration":"${expected}"`)
})

test('Z26 the cluster of a service probes only endpoints of lost proxies, and stops when the proxies return', () => {
  const scene = createScene()
  const compiler = createCompiler({ zone: 'west' })
  const key = zoned('west', 'Dataplane', 'b')
  const echo = (address: string) => sidecar(address, 'echo')
  const at = () => {
    const table = compiler.table('west/ZoneIngress//in', { canBindPort80: false })
    const cluster = Object.values(decoded(table, typeUrls.cluster))[0]
    const assignment = Object.values(decoded(table, typeUrls.assignment))[0]
    return JSON.stringify({ cluster, assignment })
  }
  compiler.apply(
    [
      scene.put(ingressKey, ingress),
      scene.put(zoned('west', 'Dataplane', 'a'), echo('10.0.0.2')),
      scene.put(key, echo('10.0.0.3')),
    ],
    1,
  )
  const before = at()
  expect(before).not.toContain('health')
  compiler.apply([scene.put(key, echo('10.0.0.3'), { 'zonemesh.io/lost': 'yes' })], 2)
  const probing = at()
  expect(probing).toContain('"health_checks":[{"timeout":"2s","interval":"5s"')
  expect(probing).toContain('"healthy_threshold":1')
  expect(probing).toContain('"healthy_panic_threshold":{}')
  expect(probing.match(/"disable_active_health_check":true/g)).toHaveLength(1)
  expect(probing).toMatch(/"10\.0\.0\.2"[^{]*\}\},"health_check_config":\{"disable_active_health_check":true\}/)
  compiler.apply([scene.put(key, echo('10.0.0.3'))], 3)
  expect(at()).toBe(before)
})
