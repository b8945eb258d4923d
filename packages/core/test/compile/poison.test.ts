import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import type { ProxyTable } from '../../src/emit/table.ts'
import { reasonOf } from '../../src/kinds/row.ts'
import { parseRow } from '../../src/parse.ts'
import { same } from '../../src/view/same.ts'
import { type Poison, poisons } from './poison.ts'
import { goodStep, type Step } from './random-rows.ts'
import { createScene, type Scene } from './scene.ts'

/** Why a row cannot be parsed. */
function faultOf(row: Row | undefined): string | undefined {
  const parsed = row && parseRow(row)
  return !parsed || parsed.ok ? undefined : reasonOf(parsed.error)
}

const facts = { part: 3, canBindPort80: true }

const proxiesOf = (scene: Scene): string[] =>
  scene
    .all()
    .filter(({ key }) => key.origin === 'east' && (key.kind === 'Dataplane' || key.kind === 'ZoneIngress'))
    .map(({ key }) => keyText(key))
    .sort()

/** All bytes of a table by their hashes, and the other fields of the table. */
const shown = (table: ProxyTable | undefined) => ({
  resources: [...(table?.resources ?? [])].flatMap(([type, resources]) =>
    [...resources.values()].map((one) => `${type} ${one.name} ${one.version}`).sort(),
  ),
  needs: table?.secretNeeds,
})

/**
 * The same row under more names, so that there are hundreds of rows. Rows that share a name in a mesh still share it.
 */
const spread = (step: Step, at: number): Step =>
  step.key.mesh === '' || step.key.kind === 'VirtualAddress'
    ? step
    : { ...step, key: { ...step.key, name: `${step.key.name}-${at % 30}` } }

const put = (scene: Scene, step: Step) => (step.op === 'put' ? scene.put(step.key, step.spec) : scene.remove(step.key))

test('F24 every bad row that the compiler reads is held back with the path of its field, and unusual but valid rows are not', () => {
  expect(poisons.length).toBeGreaterThanOrEqual(50)
  for (const { what, key, spec, field } of poisons) {
    const { row } = createScene().put(key, spec)
    const reason = faultOf(row)
    if (field === undefined) expect([what, reason]).toEqual([what, undefined])
    else expect([what, reason]).toEqual([what, expect.stringContaining(`${field}: `)])
    // Reasons are synced with every bookmark, so they must be short.
    expect(reason?.length ?? 0).toBeLessThan(500)
  }
})

test('F24 bad rows of every kind among hundreds of good rows cause no exception and change no byte of the good tables', () => {
  let rows = 0
  fc.assert(
    fc.property(
      fc.array(goodStep, { minLength: 800, maxLength: 900 }),
      fc.shuffledSubarray([...poisons.keys()], { minLength: poisons.length }),
      fc.boolean(),
      (steps, order, atOnce) => {
        const scene = createScene()
        for (const [at, step] of steps.entries()) put(scene, spread(step, at))
        const proxies = proxiesOf(scene)
        rows = Math.max(rows, scene.all().length)
        const clean = createCompiler({ zone: 'east' })
        clean.apply(scene.all(), scene.revision)
        const before = new Map(proxies.map((proxy) => [proxy, shown(clean.table(proxy, facts))]))

        const tablesWith = (bad: readonly Poison[]) => {
          const mixed = createCompiler({ zone: 'east' })
          if (!atOnce) mixed.apply(scene.all(), scene.revision)
          const versions = bad.map(({ key, spec }) => scene.put(key, spec))
          mixed.apply(atOnce ? scene.all() : versions, scene.revision)
          const tables = new Map(proxiesOf(scene).map((proxy) => [proxy, shown(mixed.table(proxy, facts))]))
          for (const { key } of bad) scene.remove(key)
          return { tables, held: mixed.drainHeld().rows.map(({ row }) => keyText(row.key)) }
        }
        const bad = order.flatMap((at) => poisons[at] ?? [])
        const unsound = bad.filter((one) => one.field !== undefined)
        const keys = unsound.map(({ key }) => keyText(key)).sort()
        const withUnsound = tablesWith(unsound)
        expect(proxies.filter((proxy) => !same(withUnsound.tables.get(proxy), before.get(proxy)))).toEqual([])
        expect(withUnsound.held.sort()).toEqual(keys)

        // An ingress also serves strange services, which is correct.
        const withAll = tablesWith(bad)
        const others = proxies.filter((proxy) => !proxy.includes('/ZoneIngress/'))
        expect(others.filter((proxy) => !same(withAll.tables.get(proxy), before.get(proxy)))).toEqual([])
        expect(withAll.held.sort()).toEqual(keys)
      },
    ),
    // Shrinking hundreds of rows would take hours, and fast-check applies no time limit to it.
    { numRuns: 5, endOnFailure: true },
  )
  expect(rows).toBeGreaterThan(300)
}, 60_000)

test('F30 a field that only a newer plane knows is not an error', () => {
  const scene = createScene()
  const { row } = scene.put(
    { origin: 'global', kind: 'Timeout', mesh: 'default', name: 'new' },
    { sources: [], destinations: [], conf: { http: { requestTimeout: '1s', hedging: { after: '5ms' } } }, priority: 3 },
  )
  expect(faultOf(row)).toBeUndefined()
})
