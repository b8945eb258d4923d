import { expect, test } from 'vitest'
import { mesh } from '../../src/kinds/mesh.ts'
import { ranges } from '../../src/kinds/ranges.ts'
import { timeout } from '../../src/policies/timeout/timeout.ts'
import type { FaultPoint } from '../../src/view/crash.ts'
import { HeldError } from '../../src/view/problem.ts'
import { createUnits } from '../../src/view/units.ts'
import { createView } from '../../src/view/view.ts'
import { createScene, global, httpRoute, prefixRule, sidecar, zoned } from '../compile/scene.ts'

function createWorld(faultPoint?: FaultPoint) {
  const units = createUnits()
  return { units, view: createView(units, 'east', faultPoint), scene: createScene() }
}

const timeouts = ranges.inMesh('Timeout', 'default')
const nameOf = (name: string) => `global/Timeout/default/${name}`

test('U5 a range is sorted, and its readers are reported when a row arrives or goes, but not when a member is written again', () => {
  const { units, view, scene } = createWorld()
  const root = units.root('root', () => view.range(timeouts))
  expect(root.read().value).toEqual([])
  view.apply([scene.put(global('Timeout', 'b'), {}), scene.put(global('Timeout', 'a'), {})])
  expect(units.drainTouched()).toEqual(['root'])
  expect(root.read().value).toEqual([nameOf('a'), nameOf('b')])
  view.apply([scene.put(global('Timeout', 'b'), { conf: { connectTimeout: '1s' } })])
  expect(units.drainTouched()).toEqual([])
  view.apply([scene.remove(global('Timeout', 'a'))])
  expect(units.drainTouched()).toEqual(['root'])
  expect(root.read().value).toEqual([nameOf('b')])
})

test('U5 a member of a range stays until no row puts it there', () => {
  const { units, view, scene } = createWorld()
  const root = units.root('root', () => view.range(ranges.ownServices('default')))
  const [first, second] = [zoned('east', 'Dataplane', 'web-1'), zoned('east', 'Dataplane', 'web-2')]
  view.apply([scene.put(first, sidecar('10.0.0.1', 'web')), scene.put(second, sidecar('10.0.0.2', 'web'))])
  expect(root.read().value).toEqual(['web'])
  view.apply([scene.remove(first)])
  expect([units.drainTouched(), root.read().value]).toEqual([[], ['web']])
  view.apply([scene.put(second, sidecar('10.0.0.2', 'api'))])
  expect([units.drainTouched(), root.read().value]).toEqual([['root'], ['api']])
  view.apply([scene.remove(second)])
  expect([units.drainTouched(), root.read().value]).toEqual([['root'], []])
})

test('U5 the readers of a row are reported when it changes, and rows of unknown kinds are ignored', () => {
  const { units, view, scene } = createWorld()
  const root = units.root('root', () => view.row(timeout, nameOf('a'))?.spec.conf?.connectTimeout)
  expect(root.read().value).toBeUndefined()
  for (const connectTimeout of ['1s', '2s']) {
    expect(view.apply([scene.put(global('Timeout', 'a'), { conf: { connectTimeout } })])).toEqual([])
    expect([units.drainTouched(), root.read().value]).toEqual([['root'], connectTimeout])
  }
  expect(view.apply([scene.put(global('Unknown', 'x'), {})])).toEqual([])
  expect(view.stored('global/Unknown/default/x')).toBeUndefined()
})

test('C7 the tag sets of a range are those of the rows, and a range of rows has none', () => {
  const { view, scene } = createWorld()
  view.apply([
    scene.put(global('MeshGatewayRoute', 'r'), httpRoute([prefixRule('/', 'echo')])),
    scene.put(global('Timeout', 'a'), {}),
  ])
  const demanded = view.tagSets(ranges.demanded('default', 'echo'))
  expect(demanded).toEqual([view.tagSet({ 'kuma.io/service': 'echo' })])
  expect(demanded[0]).toBe(view.tagSet({ 'kuma.io/service': 'echo' }))
  expect(view.tagSets(timeouts)).toEqual([])
})

test('F25 a held version is not visible, its readers are reported, and it counts again after its release', () => {
  const { units, view, scene } = createWorld()
  const root = units.root('root', () => view.rows(timeout, timeouts).map(({ key }) => key.name))
  const written = scene.put(global('Timeout', 'a'), {})
  view.apply([written])
  expect(root.read().value).toEqual(['a'])
  view.hold(nameOf('a'), `1.${written.stamp.originRevision}`)
  expect([units.drainTouched(), root.read().value]).toEqual([['root'], []])
  expect([view.isHeld(written), view.range(timeouts)]).toEqual([true, []])
  view.release(nameOf('a'))
  expect([units.drainTouched(), root.read().value]).toEqual([['root'], ['a']])
  expect(view.isHeld(written)).toBe(false)
})

test('F25 only one version is held back: it stays so when it arrives again, and a newer version or a removal ends it', () => {
  const { view, scene } = createWorld()
  const first = scene.put(global('Timeout', 'a'), {})
  view.hold(nameOf('a'), `1.${first.stamp.originRevision}`)
  for (let count = 0; count < 2; count += 1) {
    view.apply([first])
    expect(view.row(timeout, nameOf('a'))).toBeUndefined()
  }
  view.apply([scene.put(global('Timeout', 'a'), {})])
  expect(view.row(timeout, nameOf('a'))?.key.name).toBe('a')
  // The first version counts now: it was held back until another one arrived.
  view.apply([first])
  expect(view.row(timeout, nameOf('a'))?.key.name).toBe('a')

  view.hold(nameOf('a'), `1.${first.stamp.originRevision}`)
  view.apply([scene.remove(global('Timeout', 'a'))])
  view.apply([first])
  expect(view.row(timeout, nameOf('a'))?.key.name).toBe('a')
})

test('F25 a row whose index fails is held back with the reason, and other rows of its commit are applied', () => {
  const { view, scene } = createWorld((unit) => {
    if (unit === `index ${nameOf('bad')}`) throw new Error('cannot index')
  })
  const bad = scene.put(global('Timeout', 'bad'), {})
  const held = view.apply([bad, scene.put(global('Timeout', 'good'), {})])
  expect(held).toEqual([{ row: { key: bad.key, stamp: bad.stamp }, reason: 'cannot index' }])
  expect(view.range(timeouts)).toEqual([nameOf('good')])
})

test('F25 a row that was indexed before leaves its ranges when its next version cannot be indexed', () => {
  let isBroken = false
  const { view, scene } = createWorld(() => {
    if (isBroken) throw new Error('cannot index')
  })
  view.apply([scene.put(global('Timeout', 'a'), {})])
  isBroken = true
  view.apply([scene.put(global('Timeout', 'a'), { conf: { connectTimeout: '1s' } })])
  expect(view.range(timeouts)).toEqual([])
  expect(view.row(timeout, nameOf('a'))).toBeUndefined()
})

test('F25 readers of a Mesh that is held back fail, also by its range', () => {
  const { view, scene } = createWorld()
  const written = scene.put(global('Mesh', 'default', ''), {})
  view.apply([written])
  view.hold('global/Mesh//default', `1.${written.stamp.originRevision}`)
  expect(() => view.row(mesh, 'global/Mesh//default')).toThrow(HeldError)
  expect(() => view.named(mesh, '', 'default')).toThrow(HeldError)
})
