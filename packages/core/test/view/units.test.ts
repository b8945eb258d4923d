import { expect, test } from 'vitest'
import { mesh } from '../../src/kinds/mesh.ts'
import { timeout } from '../../src/policies/timeout/timeout.ts'
import { createUnits } from '../../src/view/units.ts'
import { createView } from '../../src/view/view.ts'
import { createScene, global, zoned } from '../compile/scene.ts'

test('U1 a unit is computed on demand, and again only after a change of what it read', () => {
  const units = createUnits()
  const [a, b] = [units.cell('a', 1), units.cell('b', 10)]
  const parity = units.family('parity', () => a.read() % 2)
  const text = units.family('text', (prefix: string) => `${prefix}${parity()}`)
  const root = units.root('root', () => text('p') + b.read())
  expect(units.counters.unitsCompiled).toBe(0)
  expect(root.read().value).toBe('p110')
  expect(units.counters.unitsCompiled).toBe(3)
  a.write(3)
  expect(units.drainTouched()).toEqual(['root'])
  expect(root.read().value).toBe('p110')
  // Parity is unchanged, so no unit above it was computed.
  expect(units.counters.unitsCompiled).toBe(4)
  a.write(4)
  expect(root.read().value).toBe('p010')
  expect(units.counters.unitsCompiled).toBe(7)
  a.write(4)
  expect(units.drainTouched()).toEqual(['root'])
  expect(units.drainTouched()).toEqual([])
})

test('U2 a unit does not depend on values that it no longer reads, and units without a reader are dropped', () => {
  const units = createUnits()
  const [choice, a, b] = [units.cell('choice', 'a'), units.cell('a', 1), units.cell('b', 2)]
  let dropped = 0
  const c = units.cell('c', 3, () => {
    dropped += 1
  })
  const viaC = units.family('via c', () => c.read())
  const root = units.root('root', () => (choice.read() === 'a' ? a.read() + viaC() : b.read()))
  expect(root.read().value).toBe(4)
  choice.write('b')
  expect(root.read().value).toBe(2)
  expect(dropped).toBe(1)
  units.drainTouched()
  a.write(7)
  c.write(9)
  expect(units.drainTouched()).toEqual([])
  choice.write('a')
  expect(root.read().value).toBe(16)
})

test('U3 a unit that one reader releases while another reader takes it stays alive', () => {
  const units = createUnits()
  const [first, source] = [units.cell('first', true), units.cell('source', 1)]
  const shared = units.family('shared', () => source.read())
  const left = units.family('left', () => (first.read() ? shared() : 0))
  // Reads the shared unit before the left one releases it.
  const root = units.root('root', () => (first.read() ? 0 : shared()) + left())
  expect(root.read().value).toBe(1)
  first.write(false)
  expect(root.read().value).toBe(1)
  source.write(5)
  expect(root.read().value).toBe(5)
})

test('U4 a part that throws is reported, and the report disappears when the part is repaired', () => {
  const units = createUnits()
  const cell = units.cell('cell', 0)
  const bad = units.family('bad', () => {
    if (cell.read() === 0) throw new Error('no zero')
    return cell.read()
  })
  const middle = units.family('middle', () => units.attempt('row', () => bad()) ?? -1)
  const root = units.root('root', () => middle())
  expect(root.read()).toEqual({ value: -1, problems: [{ source: 'row', reason: 'no zero' }] })
  cell.write(2)
  expect(root.read()).toEqual({ value: 2, problems: [] })
})

test('U5 a view answers for absent keys and empty ranges, and reports when rows arrive', () => {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const key = global('Mesh', 'default', '')
  const root = units.root('root', () => [
    view.row(mesh, 'global/Mesh//default')?.key.name,
    view.named(mesh, '', 'default')?.key.origin,
  ])
  expect(root.read().value).toEqual([undefined, undefined])
  view.apply([scene.put(key, {})])
  expect(units.drainTouched()).toEqual(['root'])
  expect(root.read().value).toEqual(['default', 'global'])
  view.apply([scene.remove(key)])
  expect(root.read().value).toEqual([undefined, undefined])
})

test('C1 a view returns the output of the schema of the kind, parsed once per version', () => {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const row = scene.put(global('Timeout', 'peer'), {
    sources: [{ match: { 'kuma.io/service': 'web', port: 80 } }],
    conf: { connect_timeout: '1s', http: { idle_timeout: 2, hedging: {} } },
    priority: 3,
  })
  expect(view.apply([row])).toEqual([])
  const read = () => view.row(timeout, 'global/Timeout/default/peer')
  expect(read()?.spec).toEqual({
    sources: [{ match: { 'kuma.io/service': 'web', port: '80' } }],
    destinations: [],
    conf: { connectTimeout: '1s', http: { idleTimeout: '2s' } },
  })
  expect(read()).toBe(read())
  expect(view.row(mesh, 'global/Timeout/default/peer')).toBeUndefined()
})

test('C1 a row that cannot be parsed is held back with field and reason, and a Mesh is not treated as absent', () => {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const held = view.apply([
    scene.put(global('Timeout', 'bad'), { conf: { connect_timeout: 'soon' } }),
    scene.put(global('Mesh', 'default', ''), { mtls: 5 }),
  ])
  expect(held.map(({ row, reason }) => [row.key.name, reason])).toEqual([
    ['bad', 'conf.connectTimeout: expected a duration such as 10s, 1h30m or 25ms'],
    ['default', 'mtls: expected object, received number'],
  ])
  expect(view.row(timeout, 'global/Timeout/default/bad')).toBeUndefined()
  expect(() => view.named(mesh, '', 'default')).toThrow('quarantined')
})

test('U6 a row of the global takes precedence over a row of the zone with the same name', () => {
  const units = createUnits()
  const view = createView(units, 'east')
  const scene = createScene()
  const root = units.root('root', () => view.named(mesh, '', 'default')?.key.origin)
  view.apply([scene.put(zoned('east', 'Mesh', 'default', ''), {}), scene.put(zoned('west', 'Mesh', 'other', ''), {})])
  expect(root.read().value).toBe('east')
  view.apply([scene.put(global('Mesh', 'default', ''), {})])
  expect(root.read().value).toBe('global')
  view.apply([scene.remove(global('Mesh', 'default', ''))])
  expect(root.read().value).toBe('east')
  expect(view.named(mesh, '', 'other')).toBeUndefined()
})
