import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { loopbackAddressOf } from '../../src/names/loopback.ts'
import { servicePorts } from '../../src/names/ports.ts'
import { numberEntries, recalledNumbers, recallOf } from '../../src/names/recall.ts'
import { addressOf, createNames, everyMesh } from '../../src/names/table.ts'
import { createScene, global, meshGateway, zoned } from '../compile/scene.ts'

const address = (service: string, mesh = 'default') => zoned('east', 'VirtualAddress', service, mesh)

function tableAfter(...versions: Version[]) {
  const names = createNames()
  names.apply(versions)
  return Object.fromEntries([...names.forMesh('default')].map(([name, one]) => [name, one.service]))
}

test('N5 the name of a service is lower-case, and a second name has dots instead of underscores', () => {
  const scene = createScene()
  expect(
    tableAfter(scene.put(address('Echo_default_svc_8080'), { number: 0 }), scene.put(address('web'), { number: 1 })),
  ).toEqual({
    'echo_default_svc_8080.mesh': 'Echo_default_svc_8080',
    'echo.default.svc.8080.mesh': 'Echo_default_svc_8080',
    'web.mesh': 'web',
  })
})

test('N6 if two services have the same DNS name, the service that sorts first gets it, in either order of writing', () => {
  const scene = createScene()
  const versions = [scene.put(address('my_api'), { number: 0 }), scene.put(address('my.api'), { number: 1 })]
  const expected = { 'my.api.mesh': 'my.api', 'my_api.mesh': 'my_api' }
  expect(tableAfter(...versions)).toEqual(expected)
  expect(tableAfter(...versions.reverse())).toEqual(expected)
})

test('N7 a released address does not resolve, and only meshes whose names changed are reported', () => {
  const scene = createScene()
  const names = createNames()
  expect([
    ...names.apply([scene.put(address('a'), { number: 0 }), scene.put(address('b', 'other'), { number: 1 })]),
  ]).toEqual(['default', 'other'])
  const other = names.forMesh('other')
  expect(names.forMesh('default').size).toBe(1)
  expect([...names.apply([scene.put(address('a'), { number: 0, releasedAtMs: 5 })])]).toEqual(['default'])
  expect(names.forMesh('default').size).toBe(0)
  expect(names.forMesh('other')).toBe(other)
  expect([...names.apply([scene.put(address('a'), { number: 0, releasedAtMs: 5 })])]).toEqual([])
  expect([...names.apply([scene.remove(address('b', 'other'))])]).toEqual(['other'])
})

const crossMesh = (port: number, hostname?: string) => ({ port, protocol: 'HTTP', crossMesh: true, hostname })
const gateway = (name: string, mesh: string, ...listeners: object[]) => [
  global('MeshGateway', name, mesh),
  meshGateway(listeners, 'api'),
]

test('GW24 hosts of crossMesh gateways are names in every mesh, also in a mesh without services', () => {
  const scene = createScene()
  const names = createNames()
  const put = (...[key, spec]: ReturnType<typeof gateway>) => scene.put(key as ReturnType<typeof global>, spec)
  const changed = names.apply([
    put(...gateway('edge', 'shop', crossMesh(80, 'shop.test'), crossMesh(81), crossMesh(82, '*.x.test'))),
    scene.put(address('@shop.test', 'shop'), { number: 4 }),
    scene.put(address('@internal.edge.shop.mesh', 'shop'), { number: 5 }),
    scene.put(address('web'), { number: 0 }),
  ])
  expect([...changed]).toContain(everyMesh)
  const hosts = {
    'shop.test': { service: 'api', number: 4, ports: [80] },
    'internal.edge.shop.mesh': { service: 'api', number: 5, ports: [81, 82] },
  }
  const shown = (mesh: string) =>
    Object.fromEntries(
      [...names.forMesh(mesh)].map(([name, { service, number, ports }]) => [name, { service, number, ports }]),
    )
  expect(shown('nowhere')).toEqual(hosts)
  expect(shown('default')).toEqual({ 'web.mesh': { service: 'web', number: 0, ports: [80] }, ...hosts })
  expect(names.forMesh('default').get('shop.test')?.because).toEqual([
    'east/VirtualAddress/shop/@shop.test',
    'global/MeshGateway/shop/edge',
  ])
  expect(names.meshes()).toEqual([everyMesh, 'default', 'shop'])
  // The first mesh by name gets a hostname, and services of the own mesh take precedence over hosts.
  names.apply([
    put(...gateway('other', 'base', crossMesh(90, 'shop.test'), crossMesh(91, 'web.mesh'))),
    scene.put(address('@shop.test', 'base'), { number: 7 }),
    scene.put(address('@web.mesh', 'base'), { number: 8 }),
  ])
  expect(shown('default')['shop.test']).toEqual({ service: 'api', number: 7, ports: [90] })
  expect(shown('default')['web.mesh']).toEqual({ service: 'web', number: 0, ports: [80] })
  expect(shown('shop')['web.mesh']).toEqual({ service: 'api', number: 8, ports: [91] })
  expect([...names.apply([scene.remove(global('MeshGateway', 'edge', 'shop'))])]).toEqual([everyMesh])
  expect(shown('nowhere')).toEqual({
    'shop.test': { service: 'api', number: 7, ports: [90] },
    'web.mesh': { service: 'api', number: 8, ports: [91] },
  })
})

test('GW24 only a change of hosts is reported, and the gateway that sorts first gets a host of two', () => {
  const scene = createScene()
  const names = createNames()
  const put = (name: string, ...listeners: object[]) =>
    scene.put(global('MeshGateway', name), meshGateway(listeners, name))
  const service = () => names.forMesh('default').get('a.test')?.service
  const withoutHosts = { port: 80, protocol: 'HTTP' }
  names.apply([scene.put(address('@a.test'), { number: 0 }), scene.put(address('web', 'shop'), { number: 1 })])
  expect(names.meshes()).toEqual(['default', 'shop'])
  expect([...names.apply([put('b', withoutHosts)])]).toEqual([])
  expect([...names.apply([put('b', crossMesh(80, 'a.test'))])]).toEqual([everyMesh])
  expect(names.meshes()).toEqual([everyMesh, 'default', 'shop'])
  expect(service()).toBe('b')
  names.apply([put('a', crossMesh(80, 'a.test'))])
  expect(service()).toBe('a')
  expect([...names.apply([put('a', withoutHosts)])]).toEqual([everyMesh])
  expect(service()).toBe('b')
  expect([...names.apply([put('a', withoutHosts)])]).toEqual([])
})

test.each([
  ['a gateway of any service', { ...meshGateway([crossMesh(80)]), selectors: [{ match: { 'kuma.io/service': '*' } }] }],
  ['listeners for its own mesh', meshGateway([{ port: 80, protocol: 'HTTP', hostname: 'a.test' }])],
  ['no gateway at all', { selectors: 3, conf: { listeners: 4 } }],
])('GW24 %s has no names', (_title, spec) => {
  const scene = createScene()
  const names = createNames()
  names.apply([scene.put(global('MeshGateway', 'edge'), spec), scene.put(address('@a.test'), { number: 4 })])
  expect([...names.forMesh('default')]).toEqual([])
})

test.each([
  ['echo_default_svc_8080', [80, 8080]],
  ['echo_default_svc_80', [80]],
  ['echo_default_svc', [80]],
  ['echo_default_svc_0', [80]],
  ['echo_default_svc_1', [80, 1]],
  ['echo_default_svc_65535', [80, 65_535]],
  ['echo_default_svc_65536', [80]],
  ['web', [80]],
])('N8 the ports of %s', (service, ports) => expect(servicePorts(service)).toEqual(ports))

test('N9 an address is the base plus the number', () => {
  expect([addressOf(0), addressOf(256), addressOf(65_536 * 2 + 3)]).toEqual(['240.0.0.0', '240.0.1.0', '240.2.0.3'])
  expect([loopbackAddressOf(0, 0), loopbackAddressOf(4095, 1), loopbackAddressOf(4096, 1)]).toEqual([
    '127.128.0.0',
    '127.128.31.255',
    undefined,
  ])
})

test('G9 a report of a zone contains the numbers of its services, and the global returns them', () => {
  const numbers = new Map([
    ['default/web', 0],
    ['default/@a.test', 7],
  ])
  const report = { 'Dataplane/default/web-1': { number: 5 }, ...numberEntries(numbers) }
  expect(recallOf(report)).toEqual({ 'default/web': 0, 'default/@a.test': 7 })
  expect(recalledNumbers(recallOf(report) ?? {})).toEqual(numbers)
  expect([recallOf({}), recallOf({ 'Dataplane/default/web-1': {} })]).toEqual([undefined, undefined])
})

test('G9 invalid numbers of a global are ignored', () => {
  const recall = { 'default/a': 0, 'default/b': -1, 'default/c': 1.5, 'default/d': '4', 'default/e': null, f: 6 }
  expect([...recalledNumbers(recall)]).toEqual([['default/a', 0]])
})
