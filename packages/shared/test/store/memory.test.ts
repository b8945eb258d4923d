import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { HorizonError } from '../../src/store/errors.ts'
import { createMemoryContents, createMemoryStore } from '../../src/store/memory.ts'
import type { Change, Store } from '../../src/store/store.ts'

const keyOf = (name: string, origin = 'global', kind = 'K', mesh = 'm') => ({ origin, kind, mesh, name })
const put = (name: string, value: number, origin = 'global'): Extract<Change, { op: 'put' }> => ({
  ...{ op: 'put', key: keyOf(name, origin), labels: {}, spec: { value } },
})
const remove = (name: string): Change => ({ op: 'delete', key: keyOf(name) })

const createStore = (horizonRevisions?: number, wallMs = 50) => {
  const deps = { clock: createVirtualClock(wallMs), random: createSeededRandom(1) }
  const contents = createMemoryContents(deps)
  const options = { contents, ...(horizonRevisions === undefined ? {} : { horizonRevisions }) }
  return { contents, deps, store: createMemoryStore(deps, options) }
}
async function write(store: Store, ...changes: Change[]) {
  const outcome = await store.commit({ changes, subject: 's', intent: 'i' })
  if (!outcome.ok) throw new Error('refused')
  return outcome.position
}
const namesOf = async (store: Store, ...options: Parameters<Store['changesSince']>) => {
  const { versions, next } = await store.changesSince(...options)
  return [versions.map(({ key, revision }) => `${key.name}${revision}`).join(' '), next]
}

test('S21 a new store starts at revision 0, with an incarnation from the clock that is at least 1', async () => {
  const { store } = createStore()
  expect(await store.head()).toEqual({ store: store.id, revision: 0, commitId: '0' })
  expect(await store.mark()).toEqual(await store.head())
  expect([store.incarnation, createStore(1, 0).store.incarnation, createStore(1, 7.9).store.incarnation]).toEqual([
    50, 1, 7,
  ])
  expect(await store.records({ after: -1, limit: 9 })).toMatchObject([{ subject: '', intent: '', atMs: 0, rows: 0 }])
  expect(store.fault()).toBeUndefined()
})

test('S26 changes are read in pages of 500 by default, and a full last page names the next one', async () => {
  const { store } = createStore()
  const rows = Array.from({ length: 501 }, (_unused, index) => put(`n${String(index).padStart(3, '0')}`, 1))
  await write(store, ...rows)
  const first = await store.changesSince(0, 1)
  expect([first.versions.length, first.next]).toEqual([500, '1/global/K/m/n499'])
  const second = await store.changesSince(0, 1, { resume: '1/global/K/m/n499' })
  expect([second.versions.map(({ key }) => key.name), second.next]).toEqual([['n500'], undefined])
  expect(await namesOf(store, 0, 1, { limit: 1, resume: '1/global/K/m/n499' })).toEqual(['n5001', '1/global/K/m/n500'])
  expect(await namesOf(store, 0, 1, { limit: 1, resume: '1/global/K/m/n500' })).toEqual(['', undefined])
})

test('S26 changes of an interval are the newest versions up to its end', async () => {
  const { store } = createStore()
  await write(store, put('b', 1), put('a', 1), put('c', 1, 'west'))
  await write(store, put('a', 2))
  await write(store, remove('b'))
  expect(await namesOf(store, 0, 1)).toEqual(['a1 b1 c1', undefined])
  expect(await namesOf(store, 0, 2)).toEqual(['b1 c1 a2', undefined])
  expect(await namesOf(store, 0, 3)).toEqual(['c1 a2 b3', undefined])
  expect(await namesOf(store, 0, 3, { origin: 'west' })).toEqual(['c1', undefined])
  expect(await namesOf(store, 2, 3)).toEqual(['b3', undefined])
  expect(await namesOf(store, 0, 3, { resume: '1/global/K/m/zz' })).toEqual(['c1 a2 b3', undefined])
  expect(await namesOf(store, 0, 3, { resume: '1/west/K/m/c' })).toEqual(['a2 b3', undefined])
})

test('S25 a scan selects by origin, kind and mesh, in key order, up to a limit and after a key', async () => {
  const { store } = createStore()
  const of = (origin: string, kind: string, mesh: string, name: string): Change => ({
    ...{ op: 'put', key: keyOf(name, origin, kind, mesh), labels: {}, spec: {} },
  })
  await write(store, of('b', 'K', 'm', 'x'), of('a', 'L', 'm', 'y'), of('a', 'K', 'n', 'z'))
  const names = async (...args: Parameters<Store['scan']>) =>
    (await store.scan(...args)).map(({ key }) => key.name).join('')
  expect(await names({})).toBe('zyx')
  expect([await names({ origin: 'a' }), await names({ kind: 'K' }), await names({ mesh: 'm' })]).toEqual([
    'zy',
    'zx',
    'yx',
  ])
  expect([await names({}, { limit: 2 }), await names({}, { limit: 0 })]).toEqual(['zy', ''])
  expect([await names({}, { after: 'a/K/n/z' }), await names({}, { after: 'a/K/n/y' })]).toEqual(['yx', 'zyx'])
  // A new key appears in its place after the order was computed, and a removed one only in the past.
  await write(store, of('a', 'M', 'm', 'w'), { op: 'delete', key: keyOf('y', 'a', 'L', 'm') })
  expect([await names({}), await names({}, { at: 1 })]).toEqual(['zwx', 'zyx'])
})

test('S24 an unmarked round holds the mark and its listeners back', async () => {
  const { store } = createStore()
  let calls = 0
  store.onMark(() => {
    calls += 1
  })
  await store.commitRound([{ changes: [put('a', 1)], subject: 's', intent: 'i' }], { unmarked: true })
  expect([(await store.mark()).revision, (await store.head()).revision, calls]).toEqual([0, 1, 0])
  await store.commitRound([{ changes: [], subject: 's', intent: 'i' }])
  expect([(await store.mark()).revision, calls]).toEqual([1, 1])
  await store.commitRound([{ changes: [], subject: 's', intent: 'i' }])
  expect(calls).toBe(1)
})

test('S4 rounds of one turn build on each other', async () => {
  const { store } = createStore()
  const commit = (change: Change) => store.commit({ changes: [change], subject: 's', intent: 'i' })
  const outcomes = await Promise.all([
    commit({ ...put('a', 1), expect: { absent: true } }),
    commit({ ...put('a', 2), expect: { absent: true } }),
    commit({ ...put('a', 3), expect: { revision: 1 } }),
  ])
  expect(outcomes.map((outcome) => outcome.ok && outcome.position.revision)).toEqual([1, false, 2])
  expect((await store.history(keyOf('a'))).map(({ revision }) => revision)).toEqual([2, 1])
  expect((await store.records({ after: 0, limit: 9 })).map(({ rows }) => rows)).toEqual([1, 1])
})

test('S28 old versions are dropped when the log is a quarter longer than its horizon, and live rows stay', async () => {
  const { store } = createStore(8)
  const first = await write(store, put('kept', 1), put('gone', 1), put('busy', 0))
  await write(store, remove('gone'))
  const second = await store.head()
  for (let value = 3; value <= 10; value += 1) await write(store, put('busy', value))
  // Ten revisions are a quarter more than eight, and nothing is dropped yet.
  expect([await store.standing(first), (await store.history(keyOf('busy'))).length]).toEqual(['valid', 9])
  await write(store, put('busy', 11))
  // Now the horizon is at revision 3.
  expect([await store.standing(first), await store.standing(second)]).toEqual(['behind', 'behind'])
  const record = (await store.records({ after: 0, limit: 1 }))[0]
  expect(record?.position.revision).toBe(3)
  expect(record && (await store.standing(record.position))).toBe('valid')
  expect(await store.standing({ ...first, revision: 3 })).toBe('diverged')
  expect((await store.history(keyOf('busy'))).map(({ revision }) => revision)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3])
  expect(await store.history(keyOf('gone'))).toEqual([])
  expect((await store.scan({}, { at: 3 })).map(({ key }) => key.name)).toEqual(['busy', 'kept'])
  expect((await store.changesSince(3, 11)).versions.map(({ key }) => key.name)).toEqual(['busy'])
  await expect(store.scan({}, { at: 2 })).rejects.toThrow(HorizonError)
  await expect(store.changesSince(2, 11)).rejects.toThrow(HorizonError)
  expect((await store.mark()).revision).toBe(11)
})

test('S28 the horizon never passes the mark', async () => {
  const { store } = createStore(2)
  await write(store, put('a', 0))
  for (let value = 1; value <= 9; value += 1)
    await store.commitRound([{ changes: [put('a', value)], subject: 's', intent: 'i' }], { unmarked: true })
  expect((await store.scan({})).map(({ spec }) => spec['value'])).toEqual([0])
  expect((await store.mark()).revision).toBe(1)
})

test('S27 a position counts only in the store that has its commit', async () => {
  const { store } = createStore()
  const position = await write(store, put('a', 1))
  expect(await store.standing(position)).toBe('valid')
  expect(await store.standing({ ...position, store: 'another' })).toBe('diverged')
  expect(await store.standing({ ...position, revision: 2 })).toBe('diverged')
  expect(await store.standing({ ...position, commitId: 'f00' })).toBe('diverged')
})

test('S29 a store over the same contents continues them, and a faulty transaction leaves nothing', async () => {
  const { contents, deps, store } = createStore()
  await write(store, put('a', 1))
  await store.notes.put([
    { name: 'n/a', value: { n: 1 } },
    { name: 'm', value: {} },
  ])
  await store.raiseIncarnation(70)
  await store.raiseIncarnation(60)
  const faultPoint = (point: string) => {
    if (point === 'before-commit') throw new Error('planted')
  }
  const faulty = createMemoryStore({ ...deps, faultPoint }, { contents })
  await expect(write(faulty, put('a', 2))).rejects.toThrow('planted')
  const again = createMemoryStore(deps, { contents })
  expect([again.id, again.incarnation, (await again.head()).revision]).toEqual([store.id, 70, 1])
  expect((await again.get(keyOf('a')))?.row?.spec).toEqual({ value: 1 })
  expect([...(await again.notes.read('n/'))]).toEqual([['n/a', { n: 1 }]])
  await again.notes.put([{ name: 'n/a', value: undefined }])
  expect((await again.notes.read('')).size).toBe(1)
})
