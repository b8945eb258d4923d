import { expect, test } from 'vitest'
import { keyText, type Stamp } from '../../src/resource/resource.ts'
import { planRound } from '../../src/store/plan.ts'
import type { Change, Commit, Version } from '../../src/store/store.ts'

const keyOf = (name: string) => ({ origin: 'west', kind: 'K', mesh: 'm', name })
const stampOf = (incarnation: number, originRevision: number): Stamp => ({
  ...{ incarnation, originRevision, createdAtMs: 1, modifiedAtMs: 2 },
})
const put = (name: string, value: number, stamp?: Stamp): Extract<Change, { op: 'put' }> => ({
  ...{ op: 'put', key: keyOf(name), labels: {}, spec: { value } },
  ...(stamp ? { stamp } : {}),
})
const live = (name: string, value: number, stamp = stampOf(5, 10)): Version => {
  const key = keyOf(name)
  return { key, revision: 3, state: 'live', stamp, row: { key, stamp, labels: {}, spec: { value } } }
}
const gone = (name: string, state: 'deleted' | 'forgotten', stamp = stampOf(5, 10)): Version => ({
  ...{ key: keyOf(name), revision: 3, state, stamp },
})
const commitOf = (changes: readonly Change[], declared = false): Commit => ({
  ...{ changes, subject: 'anna', intent: 'test' },
  ...(declared ? { declared: true } : {}),
})

/** Plans a round for a store at revision 7 with these versions. `reads` has the keys that were read, and how. */
function plan(parts: readonly Commit[], present: readonly Version[] = []) {
  const byText = new Map(present.map((version) => [keyText(version.key), version]))
  const reads: string[] = []
  let count = 0
  const { outcome, commits } = planRound(parts, {
    newest(text, withRow) {
      const version = byText.get(text)
      reads.push(`${version?.key.name}${withRow ? ' with its row' : ''}`)
      return version
    },
    ...{ incarnation: 9, nowMs: 100, head: { store: 's', revision: 7, commitId: 'c7' } },
    random: {
      bytes(length) {
        count += 1
        return new Uint8Array(length).fill(count)
      },
    },
  })
  const written = outcome.ok ? outcome.written : undefined
  return { outcome, commits, written, reads }
}
const states = (changes: readonly Change[], present: readonly Version[] = [], declared = false) =>
  plan([commitOf(changes, declared)], present).written?.map(({ state }) => state)

test('S21 a part that writes something gets the next revision and its own commit id, and the others get none', () => {
  const parts = [commitOf([put('a', 1)]), commitOf([put('a', 1)]), commitOf([put('b', 1)])]
  const { outcome, commits, written } = plan(parts)
  expect(commits.map(({ position }) => position)).toEqual([
    { store: 's', revision: 8, commitId: '01'.repeat(8) },
    { store: 's', revision: 9, commitId: '02'.repeat(8) },
  ])
  expect(commits[0]).toMatchObject({ subject: 'anna', intent: 'test', atMs: 100 })
  expect(outcome).toMatchObject({ ok: true, position: { revision: 9 } })
  expect(written?.map(({ key, revision }) => `${key.name}${revision}`)).toEqual(['a8', 'b9'])
  expect(plan([])).toMatchObject({ outcome: { ok: true, position: { revision: 7, commitId: 'c7' } }, commits: [] })
})

test('S21 own rows get the stamp of the commit, and keep their time of creation while they live', () => {
  const stamp = { incarnation: 9, originRevision: 8, modifiedAtMs: 100 }
  expect(plan([commitOf([put('a', 1)])]).written).toMatchObject([{ stamp: { ...stamp, createdAtMs: 100 } }])
  const changed = plan([commitOf([put('a', 2)])], [live('a', 1)])
  expect(changed.written).toMatchObject([{ stamp: { ...stamp, createdAtMs: 1 }, row: { spec: { value: 2 } } }])
  expect(plan([commitOf([put('a', 1)])], [gone('a', 'deleted')]).written).toMatchObject([
    { stamp: { ...stamp, createdAtMs: 100 } },
  ])
  const removed = plan([commitOf([{ op: 'delete', key: keyOf('a') }])], [live('a', 1)])
  expect(removed.written).toEqual([
    { key: keyOf('a'), revision: 8, state: 'deleted', stamp: { ...stamp, createdAtMs: 1 } },
  ])
})

test('S21 a change without an effect writes nothing', () => {
  const remove: Change = { op: 'delete', key: keyOf('a') }
  const forget: Change = { op: 'forget', key: keyOf('a') }
  expect(states([put('a', 1)], [live('a', 1)])).toEqual([])
  expect(states([remove, forget])).toEqual([])
  expect(states([remove, forget], [gone('a', 'deleted')])).toEqual([])
  expect(states([put('a', 1)], [gone('a', 'deleted')])).toEqual(['live'])
  expect(states([{ ...put('a', 1), labels: { l: '' } }], [live('a', 1)])).toEqual(['live'])
})

test('S22 a second change of a key replaces the first one, and builds on it', () => {
  const remove: Change = { op: 'delete', key: keyOf('a') }
  expect(states([put('a', 1), remove])).toEqual(['deleted'])
  expect(states([remove, put('a', 1)], [live('a', 1)])).toEqual(['live'])
  // A later part builds on the former one.
  const { commits } = plan([commitOf([put('a', 1)]), commitOf([put('a', 1), put('b', 1)])])
  expect(commits.map(({ versions }) => versions.map(({ key }) => key.name))).toEqual([['a'], ['b']])
})

test.each([
  ['no row', [], 5, 10, true],
  ['an older revision', [live('a', 1)], 5, 11, true],
  ['the same stamp', [live('a', 1)], 5, 10, false],
  ['a newer revision', [live('a', 1)], 5, 9, false],
  ['an older incarnation', [live('a', 1)], 6, 1, true],
  ['a newer incarnation', [live('a', 1)], 4, 99, false],
  ['a tombstone with the same stamp', [gone('a', 'deleted')], 5, 10, false],
  ['an older tombstone', [gone('a', 'deleted')], 5, 11, true],
  ['the same row, but forgotten', [gone('a', 'forgotten')], 5, 10, true],
] as const)('L6 S23 whether a received row is written over %s', (_case, present, incarnation, revision, isWritten) => {
  const stamp = stampOf(incarnation, revision)
  const { written } = plan([commitOf([put('a', 2, stamp)])], present)
  expect(written).toMatchObject(isWritten ? [{ state: 'live', stamp, row: { stamp, spec: { value: 2 } } }] : [])
  // A received removal follows the same rule, if there is a row.
  const isLive = present.some(({ state }) => state === 'live')
  expect(states([{ op: 'delete', key: keyOf('a'), stamp }], present)).toEqual(isWritten && isLive ? ['deleted'] : [])
})

test.each([
  ['of another revision', stampOf(5, 9), 1, true],
  ['of another incarnation', stampOf(4, 10), 1, true],
  ['with the same stamp and other content', stampOf(5, 10), 2, true],
  ['with the same stamp and content', stampOf(5, 10), 1, false],
])('S23 whether a forced row %s is written', (_case, stamp, value, isWritten) => {
  const change = { ...put('a', value, stamp), forced: true } as const
  expect(states([change], [live('a', 1)])).toEqual(isWritten ? ['live'] : [])
  expect(states([change], [gone('a', 'deleted', stampOf(9, 9))])).toEqual(['live'])
})

test('S23 a forgotten row keeps its stamp and leaves no tombstone', () => {
  const { written } = plan([commitOf([{ op: 'forget', key: keyOf('a') }])], [live('a', 1)])
  expect(written).toEqual([{ key: keyOf('a'), revision: 8, state: 'forgotten', stamp: stampOf(5, 10) }])
})

test('F26 a received removal is declared by its owner, and an own removal by its commit', () => {
  const declaredOf = (change: Change, declared: boolean) =>
    plan([commitOf([change], declared)], [live('a', 1)]).written?.map((version) => version.declared)
  const own: Change = { op: 'delete', key: keyOf('a') }
  const received: Change = { ...own, stamp: stampOf(5, 11) }
  expect([declaredOf(own, true), declaredOf(own, false)]).toEqual([[true], [undefined]])
  expect([declaredOf({ ...received, declared: true }, false), declaredOf(received, true)]).toEqual([
    [true],
    [undefined],
  ])
})

test('S14 S18 each expectation that does not hold is named with what was found, and then nothing is written', () => {
  const present = [live('a', 1), gone('b', 'deleted')]
  const changes: Change[] = [
    put('new', 1),
    { op: 'check', key: keyOf('a'), expect: { revision: 3 } },
    { op: 'check', key: keyOf('a'), expect: { revision: 4 } },
    { op: 'check', key: keyOf('a'), expect: { absent: true } },
    { op: 'check', key: keyOf('b'), expect: { present: true } },
    { op: 'check', key: keyOf('b'), expect: { revision: 3 } },
    { op: 'check', key: keyOf('b'), expect: { absent: true } },
    { op: 'check', key: keyOf('a'), expect: { present: true } },
  ]
  const { outcome, commits } = plan(
    [commitOf([put('first', 1)]), commitOf(changes), commitOf([put('last', 1)])],
    present,
  )
  expect(commits).toEqual([])
  expect(outcome).toEqual({
    ok: false,
    conflicts: [
      { key: keyOf('a'), expected: { revision: 4 }, found: 3 },
      { key: keyOf('a'), expected: { absent: true }, found: 3 },
      { key: keyOf('b'), expected: { present: true }, found: undefined },
      { key: keyOf('b'), expected: { revision: 3 }, found: undefined },
    ],
  })
  const passed = plan([commitOf([changes[1] ?? put('new', 1)])], present)
  expect(passed).toMatchObject({ outcome: { ok: true, position: { revision: 7 } }, commits: [] })
})

test('S14 expectations are judged against the state before the commit, and after the former parts', () => {
  const absent: Change = { op: 'check', key: keyOf('a'), expect: { absent: true } }
  expect(plan([commitOf([put('a', 1), absent])]).outcome.ok).toBe(true)
  expect(plan([commitOf([put('a', 1)]), commitOf([absent])]).outcome.ok).toBe(false)
})

test('L5 only rows whose content decides are read with it', () => {
  const present = ['own', 'received', 'forced', 'removed', 'checked'].map((name) => live(name, 1))
  const changes: Change[] = [
    put('own', 2),
    put('received', 2, stampOf(6, 1)),
    { ...put('forced', 2, stampOf(6, 1)), forced: true },
    { op: 'delete', key: keyOf('removed') },
    { op: 'check', key: keyOf('checked'), expect: { present: true } },
  ]
  const { reads } = plan([commitOf(changes)], present)
  expect(reads).toEqual(['own with its row', 'received', 'forced with its row', 'removed', 'checked'])
})
