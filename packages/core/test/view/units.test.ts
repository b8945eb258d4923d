import { expect, test } from 'vitest'
import { mesh } from '../../src/kinds/mesh.ts'
import { timeout } from '../../src/policies/timeout/timeout.ts'
import { HeldError, NoteError } from '../../src/view/problem.ts'
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
    ['default', 'mtls: expected an object, found a number'],
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

test('U1 an equal value is no change, and a root is reported once until it is read again', () => {
  const units = createUnits()
  const cell = units.cell('cell', { a: [1] })
  const root = units.root('root', () => cell.read().a.length)
  root.read()
  expect([cell.write({ a: [1] }), units.drainTouched()]).toEqual([false, []])
  expect([cell.write({ a: [1, 2] }), units.drainTouched()]).toEqual([true, ['root']])
  expect([cell.write({ a: [3] }), units.drainTouched()]).toEqual([true, []])
  root.read()
  expect([cell.write({ a: [] }), units.drainTouched()]).toEqual([true, ['root']])
})

test('U1 a unit that fails again with the same message has not changed, and one with another message has', () => {
  const units = createUnits()
  const cell = units.cell('cell', 'first x')
  const failing = units.family('failing', () => {
    throw new Error(cell.read().split(' ')[0])
  })
  const root = units.root('root', () => units.attempt('row', failing))
  const reasonOf = () => root.read().problems.map(({ reason }) => reason)
  expect([reasonOf(), units.counters.unitsCompiled]).toEqual([['first'], 2])
  cell.write('first y')
  expect([reasonOf(), units.counters.unitsCompiled]).toEqual([['first'], 3])
  cell.write('second')
  expect([reasonOf(), units.counters.unitsCompiled]).toEqual([['second'], 5])
})

test('U4 a unit without a value that begins to fail has changed', () => {
  const units = createUnits()
  const cell = units.cell('cell', false)
  const unit = units.family('unit', () => {
    if (cell.read()) throw new Error('broken')
  })
  const root = units.root('root', () => unit())
  expect(root.read().value).toBeUndefined()
  cell.write(true)
  expect(() => root.read()).toThrow('broken')
})

test('U2 a closed root releases what it read', () => {
  const units = createUnits()
  const dropped: string[] = []
  const [near, far] = ['near', 'far'].map((name) => units.cell(name, 1, () => void dropped.push(name)))
  const unit = units.family('unit', () => far?.read())
  const root = units.root('root', () => [near?.read(), unit()])
  root.read()
  expect(dropped).toEqual([])
  root.close()
  expect(dropped.sort()).toEqual(['far', 'near'])
})

test('L13 no unit begins after the allowed number of units, and the next call continues there', () => {
  const units = createUnits()
  const computed: number[] = []
  const part = units.family('part', (at: number) => computed.push(at))
  const root = units.root('root', () => [0, 1, 2, 3].map((at) => units.attempt('row', () => part(at))))
  const read = () => void root.read()
  expect([units.within(2, read), computed]).toEqual([false, [0, 1]])
  expect([units.within(1, () => void root.crash()), computed]).toEqual([false, [0, 1, 2]])
  expect([units.within(2, read), computed, units.counters.unitsCompiled]).toEqual([true, [0, 1, 2, 3], 5])
  expect(root.read()).toEqual({ value: [1, 2, 3, 4], problems: [] })
  expect(() =>
    units.within(1, () => {
      throw new Error('of the caller')
    }),
  ).toThrow('of the caller')
})

test('U4 problems are sorted by row and reason, each once, and notes are marked', () => {
  const units = createUnits()
  const part = units.family('part', (_name: string) => {
    units.problem('b', 'left out')
    units.note('b', 'a note')
    units.attempt('a', () => {
      throw new NoteError('pending')
    })
  })
  const root = units.root('root', () => [part('x'), part('y'), units.problem('a', 'bad')])
  expect(root.read().problems).toStrictEqual([
    { source: 'a', reason: 'bad' },
    { source: 'a', reason: 'pending', isNote: true },
    { source: 'b', reason: 'a note', isNote: true },
    { source: 'b', reason: 'left out' },
  ])
})

test('F25 a row that is held back fails all units that depend on it, and is no bug of theirs', () => {
  const units = createUnits()
  const root = units.root('root', () =>
    units.attempt('row', () => {
      throw new HeldError('quarantined')
    }),
  )
  expect(() => root.read()).toThrow(HeldError)
  expect(root.crash()).toBeUndefined()
})

test.each([
  ['TypeError', new TypeError('x'), 'inner x'],
  ['RangeError', new RangeError('x'), 'inner x'],
  ['ReferenceError', new ReferenceError('x'), 'inner x'],
  ['SyntaxError', new SyntaxError('x'), 'inner x'],
  ['plain Error', new Error('x'), undefined],
])('F25 a %s of a part is a bug of the innermost unit that threw it, unless it is a refusal', (_what, error, bug) => {
  const units = createUnits()
  const [row, other] = [units.cell('row', 1), units.cell('other', 1)]
  const inner = units.family('inner', (_name: string) => {
    row.read()
    throw error
  })
  const fine = units.family('fine', () => other.read())
  const outer = units.family('outer', () => [fine(), inner('x')])
  const root = units.root('root', () => units.attempt('source', outer))
  const { problems } = root.read()
  expect(problems).toStrictEqual([{ source: 'source', reason: 'x', ...(bug ? { crashedIn: bug } : {}) }])
  expect(root.crash()).toEqual(bug && { unit: bug, reason: 'x', direct: ['row'], all: ['row'] })
})

test('F25 the crash of a root names the innermost unit that failed, and the cells that it read directly and indirectly', () => {
  const units = createUnits()
  const [near, far, other] = ['near', 'far', 'other'].map((name) => units.cell(name, 0))
  const viaFar = units.family('via far', () => far?.read())
  const failing = units.family('failing', () => {
    near?.read()
    viaFar()
    if (near?.read() === 0) throw new Error('refused')
  })
  const outer = units.family('outer', () => [other?.read(), failing()])
  const root = units.root('root', () => [other?.read(), outer()])
  expect(root.crash()).toEqual({ unit: 'failing ', reason: 'refused', direct: ['near'], all: ['near', 'far'] })
  near?.write(1)
  expect(root.crash()).toBeUndefined()
})

test('F25 a fault point gets each unit with the cells and units that it read, but not the absent cells', () => {
  const met: (readonly [string, readonly string[]])[] = []
  const units = createUnits({ faultPoint: (unit, reads) => void met.push([unit, reads]) })
  const [absent, present] = [units.cell('absent', undefined), units.cell('present', 1)]
  const unit = units.family('unit', () => [absent.read(), present.read()])
  const none = units.family('none', () => undefined)
  units.root('root', () => [unit(), none()]).read()
  expect(met).toEqual([
    ['unit ', ['present']],
    ['none ', []],
    ['root', ['unit ', 'none ']],
  ])
})
