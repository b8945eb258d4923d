import type { Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { loopbackAddressOf } from '../../src/names/loopback.ts'
import { servicePorts } from '../../src/names/ports.ts'
import { addressOf, createNames } from '../../src/names/table.ts'
import { createScene, zoned } from '../compile/scene.ts'

const address = (service: string, mesh = 'default') => zoned('east', 'VirtualAddress', service, mesh)

function tableAfter(...versions: Version[]) {
  const names = createNames()
  names.apply(versions)
  return Object.fromEntries([...names.forMesh('default')].map(([name, one]) => [name, one.service]))
}

test('§6.2 a service has its name, and the same with dots for underscores, in lower case', () => {
  const scene = createScene()
  expect(
    tableAfter(scene.put(address('Echo_default_svc_8080'), { number: 0 }), scene.put(address('web'), { number: 1 })),
  ).toEqual({
    'echo_default_svc_8080.mesh': 'Echo_default_svc_8080',
    'echo.default.svc.8080.mesh': 'Echo_default_svc_8080',
    'web.mesh': 'web',
  })
})

test('of two services with one name the first by name has it, in either order of writing', () => {
  const scene = createScene()
  const versions = [scene.put(address('my_api'), { number: 0 }), scene.put(address('my.api'), { number: 1 })]
  const expected = { 'my.api.mesh': 'my.api', 'my_api.mesh': 'my_api' }
  expect(tableAfter(...versions)).toEqual(expected)
  expect(tableAfter(...versions.reverse())).toEqual(expected)
})

test('a released address resolves no more; only meshes whose names changed are told', () => {
  const scene = createScene()
  const names = createNames()
  expect([
    ...names.apply([scene.put(address('a'), { number: 0 }), scene.put(address('b', 'other'), { number: 1 })]),
  ]).toEqual(['default', 'other'])
  const other = names.forMesh('other')
  expect([...names.apply([scene.put(address('a'), { number: 0, releasedAtMs: 5 })])]).toEqual(['default'])
  expect(names.forMesh('default').size).toBe(0)
  expect(names.forMesh('other')).toBe(other)
  expect([...names.apply([scene.put(address('a'), { number: 0, releasedAtMs: 5 })])]).toEqual([])
  expect([...names.apply([scene.remove(address('b', 'other'))])]).toEqual(['other'])
})

test.each([
  ['echo_default_svc_8080', [80, 8080]],
  ['echo_default_svc_80', [80]],
  ['echo_default_svc', [80]],
  ['echo_default_svc_99999', [80]],
  ['web', [80]],
])('ports of %s', (service, ports) => expect(servicePorts(service)).toEqual(ports))

test('addresses are base and number', () => {
  expect([addressOf(0), addressOf(256), addressOf(65_536 * 2 + 3)]).toEqual(['240.0.0.0', '240.0.1.0', '240.2.0.3'])
  expect([loopbackAddressOf(0, 0), loopbackAddressOf(4095, 1), loopbackAddressOf(4096, 1)]).toEqual([
    '127.128.0.0',
    '127.128.31.255',
    undefined,
  ])
})
