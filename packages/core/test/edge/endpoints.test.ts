import { expect, test } from 'vitest'
import { createEndpoints, type Instance } from '../../src/edge/endpoints.ts'
import { createMeshes } from '../../src/edge/meshes.ts'
import { meshName, serviceName } from '../../src/kinds/identities.ts'
import type { EndpointModel } from '../../src/model/model.ts'
import { createUnits } from '../../src/view/units.ts'
import { createView } from '../../src/view/view.ts'
import { createScene, global, mtlsMesh, type Scene, sidecar, zoned } from '../compile/scene.ts'

const defaultMesh = meshName('default')
const echoService = serviceName('echo')

type Labels = Record<string, string>
type Build = (scene: Scene) => readonly ReturnType<Scene['put']>[]

const lost = { 'zonemesh.io/lost': 'yes' }
const echo = (scene: Scene, name: string, address: string, tags: Labels = {}) =>
  scene.put(zoned('east', 'Dataplane', name), sidecar(address, 'echo', tags))
const notReady = (scene: Scene, name: string, address: string, tags: Labels = {}) => {
  const { networking } = sidecar(address, 'echo', tags)
  const inbound = networking.inbound.map((one) => ({ ...one, state: 'NotReady' }))
  return scene.put(zoned('east', 'Dataplane', name), { networking: { ...networking, inbound } })
}
const ingress = (scene: Scene, zone: string, name: string, advertised: object, labels: Labels = {}) =>
  scene.put(
    zoned(zone, 'ZoneIngress', name, ''),
    { networking: { address: '10.9.9.9', port: 1, ...advertised } },
    labels,
  )
const at = (advertisedAddress: string, advertisedPort = 10_001) => ({ advertisedAddress, advertisedPort })
const egress = (scene: Scene, name: string, address: string) =>
  scene.put(zoned('east', 'ZoneEgress', name, ''), { networking: { address, port: 10_002 } })
const offer = (scene: Scene, zone: string, instances: number, tags: Labels = {}) =>
  scene.put(zoned(zone, 'AvailableService', `${zone}-${instances}`), {
    tags: { 'kuma.io/service': 'echo', 'kuma.io/zone': zone, ...tags },
    instances,
  })

/** The endpoints of a zone that knows these rows. All zones are enabled. */
function createWorld(
  build: Build,
  { spec = mtlsMesh(), doors = [] }: { spec?: object; doors?: readonly Instance[] } = {},
) {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const zones = ['central', 'east', 'west'].map((zone) => scene.put(global('Zone', zone, ''), { enabled: true }))
  view.apply([scene.put(global('Mesh', 'default', ''), spec), ...zones, ...build(scene)])
  const endpoints = createEndpoints(units, view, createMeshes(units, view), () => doors)
  const tagSet = (tags: Labels = {}) => view.tagSet({ 'kuma.io/service': 'echo', ...tags })
  return {
    endpoints,
    tagSet,
    read: (tags?: Labels) => {
      const { value, problems } = units.root('root', () => endpoints.endpoints(defaultMesh, tagSet(tags))).read()
      return { shown: value.map(shown), problems: problems.map(({ reason }) => reason) }
    },
  }
}
const shown = ({ zone, address, port, weight, probed }: EndpointModel) =>
  `${zone} ${address}:${port} ${weight}${probed ? ' probed' : ''}`

test.each([
  ['one of two', [lost, {}], ''],
  ['the other of two', [{}, lost], ''],
  ['all', [lost, lost], ' probed'],
])('Z26 an address of ingresses is probed only if all of them are lost: %s', (_what, labels, suffix) => {
  const { read } = createWorld((s) => [
    ...labels.map((one, index) => ingress(s, 'west', `w${index}`, at('10.2.0.1'), one)),
    offer(s, 'west', 3),
  ])
  expect(read().shown).toEqual([`west 10.2.0.1:10001 3${suffix}`])
})

test('EI6 endpoints are sorted by zone, address and port, regardless of the names of their rows', () => {
  const { read, endpoints, tagSet } = createWorld((s) => [
    echo(s, 'a', '10.1.0.2'),
    echo(s, 'b', '10.1.0.1'),
    ingress(s, 'west', 'w1', at('10.2.0.1', 10_003)),
    ingress(s, 'west', 'w2', at('10.2.0.1', 10_002)),
    ingress(s, 'central', 'c', at('10.3.0.1')),
    offer(s, 'west', 3),
    offer(s, 'central', 2),
  ])
  const far = ['west 10.2.0.1:10002 3', 'west 10.2.0.1:10003 3']
  expect(read().shown).toEqual(['central 10.3.0.1:10001 2', 'east 10.1.0.1:10080 3', 'east 10.1.0.2:10080 3', ...far])
  expect(endpoints.ownAssignment('c', defaultMesh, echoService).endpoints.map(shown)).toEqual([
    'east 10.1.0.1:10080 1',
    'east 10.1.0.2:10080 1',
  ])
  expect(endpoints.remoteAssignment('c', defaultMesh, tagSet()).endpoints.map(shown)).toEqual([
    'central 10.3.0.1:10001 2',
    ...far,
  ])
})

test('EI6 own instances have the number of egresses as weight if the mesh uses egresses', () => {
  const { read } = createWorld(
    (s) => [
      echo(s, 'a', '10.1.0.1'),
      ingress(s, 'west', 'w', at('10.2.0.1')),
      offer(s, 'west', 4),
      ...['10.1.0.7', '10.1.0.8', '10.1.0.9'].map((address) => egress(s, address, address)),
    ],
    { spec: { ...mtlsMesh(), routing: { zoneEgress: true } } },
  )
  expect(read().shown[0]).toBe('east 10.1.0.1:10080 3')
})

test('EI6 an announcement without instances, or of a zone without ingresses, counts for nothing', () => {
  const { read, endpoints } = createWorld((s) => [
    echo(s, 'a', '10.1.0.1'),
    ingress(s, 'west', 'w', at('10.2.0.1')),
    offer(s, 'west', 0, { 'kuma.io/protocol': 'tcp' }),
    offer(s, 'central', 3, { 'kuma.io/protocol': 'tcp' }),
  ])
  expect(read().shown).toEqual(['east 10.1.0.1:10080 1'])
  expect(endpoints.protocol(defaultMesh, echoService)).toBe('http')
})

test('EI6 an ingress that does not advertise its address and port yet is left out without a problem, beside others', () => {
  const { read } = createWorld((s) => [
    ingress(s, 'west', 'w1', {}),
    ingress(s, 'west', 'w2', { advertisedAddress: '10.2.0.2' }),
    ingress(s, 'west', 'w3', { advertisedPort: 10_001 }),
    ingress(s, 'west', 'w4', at('10.2.0.4')),
    offer(s, 'west', 2),
  ])
  expect(read()).toEqual({ shown: ['west 10.2.0.4:10001 2'], problems: [] })
})

test('EI6 an address that is a hostname costs only its row, which is reported', () => {
  const reason = 'networking.address: expected an IP address, found "host.test"'
  const instances = createWorld((s) => [echo(s, 'a', 'host.test'), echo(s, 'b', '10.1.0.1')])
  expect(instances.read()).toEqual({ shown: ['east 10.1.0.1:10080 1'], problems: [reason] })
  const egresses = createWorld(
    (s) => [
      egress(s, 'a', 'host.test'),
      egress(s, 'b', '10.1.0.7'),
      ingress(s, 'west', 'w', at('10.2.0.1')),
      offer(s, 'west', 2),
    ],
    { spec: { ...mtlsMesh(), routing: { zoneEgress: true } } },
  )
  expect(egresses.read()).toEqual({ shown: ['east 10.1.0.7:10002 2'], problems: [reason] })
})

test('EI6 an ingress leads only to ready instances, and has only their tags', () => {
  const { endpoints } = createWorld((s) => [
    echo(s, 'a', '10.1.0.1', { v: '1' }),
    notReady(s, 'b', '10.1.0.2', { v: '2' }),
  ])
  expect(endpoints.ownAssignment('c', defaultMesh, echoService).endpoints.map(shown)).toEqual(['east 10.1.0.1:10080 1'])
  expect(endpoints.ownTagSets(defaultMesh, echoService).map(({ v }) => v)).toEqual(['1'])
})

const door = (address: string, port: number, hostname: string, more: Labels = {}): Instance => ({
  address,
  port,
  ready: true,
  because: [],
  tags: { 'kuma.io/service': 'echo', 'kuma.io/mesh': 'default', hostname, ...more },
})

test('GW23 cross-mesh listeners on one port are one endpoint with the tags that they share, and tags select them', () => {
  const doors = [
    door('10.1.0.9', 80, 'a', { v: '1' }),
    door('10.1.0.9', 80, 'b', { v: '1' }),
    door('10.1.0.8', 81, 'c'),
  ]
  const { read, endpoints, tagSet } = createWorld(() => [], { doors })
  const other = { 'kuma.io/mesh': 'default' }
  const both = ['east 10.1.0.8:81 1', 'east 10.1.0.9:80 1']
  expect(read(other).shown).toEqual(both)
  const own = (tags: Labels) =>
    endpoints.ownCrossMeshAssignment('c', defaultMesh, tagSet({ ...other, ...tags })).endpoints
  expect(own({}).map(shown)).toEqual(both)
  expect(own({ v: '1' }).map(({ address, tags }) => [address, tags])).toEqual([['10.1.0.9', { ...other, v: '1' }]])
  expect(read().shown).toEqual([])
})

test.each([
  [['http', 'http'], 'http'],
  [['grpc', 'http2'], 'http2'],
  [['http', 'grpc'], 'tcp'],
  [['mysql', 'mysql'], 'mysql'],
  [['mysql', 'http'], 'tcp'],
])('SC7 the protocol of instances with %j is %s', (protocols, expected) => {
  const { endpoints } = createWorld((s) =>
    protocols.map((protocol, index) => echo(s, `a${index}`, `10.1.0.${index}`, { 'kuma.io/protocol': protocol })),
  )
  expect(endpoints.protocol(defaultMesh, echoService)).toBe(expected)
})
