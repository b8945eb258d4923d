import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { HorizonError } from '../../src/store/errors.ts'
import type { FaultHook } from '../../src/store/faults.ts'
import { createMemoryContents, createMemoryStore } from '../../src/store/memory.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { changesAfter, stateAt, versionsBetween } from '../../src/store/state.ts'
import type { Change, Store } from '../../src/store/store.ts'

const keyOf = (name: string, origin = 'global', kind = 'K', mesh = 'm') => ({ origin, kind, mesh, name })
const put = (name: string, value: number, origin = 'global'): Extract<Change, { op: 'put' }> => ({
  ...{ op: 'put', key: keyOf(name, origin), labels: {}, spec: { value } },
})
const remove = (name: string): Change => ({ op: 'delete', key: keyOf(name) })

interface Options {
  readonly horizonRevisions?: number
  readonly wallMs?: number
  readonly faultPoint?: FaultHook
}
/** A store, and a function that opens it again as after a restart. */
interface Opened {
  readonly store: Store
  readonly reopen: (options?: Options) => Promise<Opened>
}
type Open = (options?: Options) => Promise<Opened>

const depsOf = ({ wallMs = 50, faultPoint }: Options) => ({
  ...{ clock: createVirtualClock(wallMs), random: createSeededRandom(1), log: silentLog },
  ...(faultPoint ? { faultPoint } : {}),
})
const horizonOf = ({ horizonRevisions }: Options) => (horizonRevisions === undefined ? {} : { horizonRevisions })

/** An open store; `open` opens its content again. */
const openedBy = (open: Open, store: Store): Opened => ({
  store,
  async reopen(next) {
    await store.close()
    return open(next)
  },
})

const openMemory: Open = async (first = {}) => {
  const contents = createMemoryContents(depsOf(first))
  const open: Open = async (options = {}) => {
    const store = createMemoryStore(depsOf(options), { contents, ...horizonOf(options) })
    return openedBy(open, store)
  }
  return open(first)
}

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const openSqlite: Open = async (first = {}) => {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-stores-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  const open: Open = async (options = {}) => {
    const store = await openSqliteStore(depsOf(options), { path: join(folder, 'store.db'), ...horizonOf(options) })
    ends.push(() => store.close())
    return openedBy(open, store)
  }
  return open(first)
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

describe.each([
  ['memory', openMemory],
  ['SQLite', openSqlite],
])('a store in %s', (_name, open) => {
  test('S21 a new store starts at revision 0, with an incarnation from the clock that is at least 1', async () => {
    const { store } = await open()
    expect(await store.head()).toEqual({ store: store.id, revision: 0, commitId: '0' })
    expect(await store.mark()).toEqual(await store.head())
    expect(store.incarnation).toBe(50)
    expect((await open({ wallMs: 0 })).store.incarnation).toBe(1)
    expect((await open({ wallMs: 7.9 })).store.incarnation).toBe(7)
    expect(await store.records({ after: -1, limit: 9 })).toMatchObject([{ subject: '', intent: '', atMs: 0, rows: 0 }])
    expect(store.fault()).toBeUndefined()
  })

  test('S26 changes are read in pages of 500 by default, and a full last page names the next one', async () => {
    const { store } = await open()
    const rows = Array.from({ length: 501 }, (_unused, index) => put(`n${String(index).padStart(3, '0')}`, 1))
    await write(store, ...rows)
    const first = await store.changesSince(0, 1)
    expect([first.versions.length, first.next]).toEqual([500, '1/global/K/m/n499'])
    const second = await store.changesSince(0, 1, { resume: '1/global/K/m/n499' })
    expect([second.versions.map(({ key }) => key.name), second.next]).toEqual([['n500'], undefined])
    expect(await namesOf(store, 0, 1, { limit: 1, resume: '1/global/K/m/n499' })).toEqual([
      'n5001',
      '1/global/K/m/n500',
    ])
    expect(await namesOf(store, 0, 1, { limit: 1, resume: '1/global/K/m/n500' })).toEqual(['', undefined])
  })

  test('S26 changes of an interval are the newest versions up to its end', async () => {
    const { store } = await open()
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
    const { store } = await open()
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
    const { store } = await open()
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
    const { store } = await open()
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
    const { store } = await open({ horizonRevisions: 8 })
    const created = ['kept', 'gone', 'twice', 'returned', 'busy'].map((name) => put(name, 0))
    const first = await write(store, ...created)
    await write(store, remove('gone'), remove('returned'), put('twice', 2))
    const second = await store.head()
    for (let value = 3; value <= 10; value += 1)
      await write(store, put('busy', value), ...(value === 5 ? [put('returned', value)] : []))
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
    expect((await store.scan({}, { at: 3 })).map(({ key }) => key.name)).toEqual(['busy', 'kept', 'twice'])
    expect((await store.scan({})).map(({ key }) => key.name)).toEqual(['busy', 'kept', 'returned', 'twice'])
    expect((await store.history(keyOf('twice'))).map(({ revision }) => revision)).toEqual([2])
    expect((await store.changesSince(3, 11)).versions.map(({ key }) => key.name)).toEqual(['returned', 'busy'])
    await expect(store.scan({}, { at: 2 })).rejects.toThrow(HorizonError)
    await expect(store.changesSince(2, 11)).rejects.toThrow(HorizonError)
    expect((await store.mark()).revision).toBe(11)
    // The next time comes when the log is a quarter longer again.
    for (let value = 12; value <= 13; value += 1) await write(store, put('busy', value))
    expect(record && (await store.standing(record.position))).toBe('valid')
    await write(store, put('busy', 14))
    expect(record && (await store.standing(record.position))).toBe('behind')
  })

  test('S28 the horizon never passes the mark', async () => {
    const { store } = await open({ horizonRevisions: 2 })
    await write(store, put('a', 0))
    for (let value = 1; value <= 9; value += 1)
      await store.commitRound([{ changes: [put('a', value)], subject: 's', intent: 'i' }], { unmarked: true })
    expect((await store.scan({})).map(({ spec }) => spec['value'])).toEqual([0])
    expect((await store.mark()).revision).toBe(1)
  })

  test('S27 a position counts only in the store that has its commit', async () => {
    const { store } = await open()
    const position = await write(store, put('a', 1))
    expect(await store.standing(position)).toBe('valid')
    expect(await store.standing({ ...position, store: 'another' })).toBe('diverged')
    expect(await store.standing({ ...position, revision: 2 })).toBe('diverged')
    expect(await store.standing({ ...position, commitId: 'f00' })).toBe('diverged')
  })

  test('S29 a reopened store continues, and a faulty transaction leaves nothing', async () => {
    const { store, reopen } = await open()
    await write(store, put('a', 1), put('b', 1))
    await write(store, remove('b'))
    await store.commitRound([{ changes: [put('c', 1)], subject: 's', intent: 'i' }], { unmarked: true })
    await store.notes.put([
      { name: 'n/a', value: { n: 1 } },
      { name: 'n/b', value: { n: 1 } },
      { name: 'm', value: {} },
    ])
    await store.raiseIncarnation(70)
    await store.raiseIncarnation(60)
    expect(store.incarnation).toBe(70)
    const facts = async (one: Store) => [
      one.id,
      one.incarnation,
      await one.head(),
      await one.mark(),
      await one.scan({}),
    ]
    const before = await facts(store)
    let point = 'before-commit'
    const { store: faulty, reopen: again } = await reopen({
      faultPoint(reached) {
        if (reached === point) throw new Error('planted')
      },
    })
    for (point of ['begin', 'version', 'before-commit'])
      await expect(write(faulty, put('a', 2))).rejects.toThrow('planted')
    expect(await facts(faulty)).toEqual(before)
    const { store: last } = await again()
    expect(await facts(last)).toEqual(before)
    expect((await last.get(keyOf('a')))?.row?.spec).toEqual({ value: 1 })
    expect(await last.get(keyOf('b'))).toMatchObject({ state: 'deleted', revision: 2 })
    expect([...(await last.notes.read('n/'))]).toEqual([
      ['n/a', { n: 1 }],
      ['n/b', { n: 1 }],
    ])
    await last.notes.put([
      { name: 'n/a', value: undefined },
      { name: 'n/b', value: { n: 2 } },
    ])
    expect([...(await last.notes.read(''))].sort()).toEqual([
      ['m', {}],
      ['n/b', { n: 2 }],
    ])
  })

  test('S26 the changes of a reopened store are the same as before, with their declarations', async () => {
    const { store, reopen } = await open()
    await write(store, put('a', 1), put('b', 1), put('c', 1, 'west'))
    await store.commit({ changes: [remove('b')], subject: 's', intent: 'i', declared: true })
    await write(store, put('a', 2), { op: 'forget', key: keyOf('c', 'west') })
    const found = async (one: Store) => [
      await one.changesSince(0, 3),
      await one.changesSince(0, 2, { limit: 1 }),
      await one.changesSince(0, 3, { origin: 'west' }),
      await one.changesSince(0, 1, { origin: 'global', limit: 1 }),
      await one.history(keyOf('b')),
      await one.records({ after: 1, limit: 1 }),
    ]
    const before = await found(store)
    expect(await found((await reopen()).store)).toEqual(before)
    expect(before[5]).toMatchObject([{ position: { revision: 2 }, rows: 1 }])
    expect(before[0]).toMatchObject({
      versions: [
        { state: 'deleted', declared: true },
        { state: 'live', row: { spec: { value: 2 } } },
        { state: 'forgotten' },
      ],
    })
  })

  test('S24 S29 a reopened store has the mark of its last marked round', async () => {
    let { store, reopen } = await open()
    const round = (values: readonly number[], isMarked: boolean) =>
      store.commitRound(
        values.map((value) => ({ changes: [put('a', value)], subject: 's', intent: 'i' })),
        isMarked ? {} : { unmarked: true },
      )
    const reopened = async () => {
      ;({ store, reopen } = await reopen())
      return [(await store.mark()).revision, (await store.head()).revision]
    }
    await round([1, 2], true)
    expect(await reopened()).toEqual([2, 2])
    await round([3, 4], false)
    expect(await reopened()).toEqual([2, 4])
    await store.commit({ changes: [], subject: 's', intent: 'i' })
    expect(await reopened()).toEqual([4, 4])
    await round([5], false)
    await round([6, 7], true)
    expect(await reopened()).toEqual([7, 7])
  })

  test('S28 S29 a reopened store has the same horizon', async () => {
    const { store, reopen } = await open({ horizonRevisions: 4 })
    const first = await write(store, put('a', 0))
    for (let value = 2; value <= 6; value += 1) await write(store, put('a', value))
    expect(await store.standing(first)).toBe('behind')
    const again = (await reopen({ horizonRevisions: 4 })).store
    expect(await again.standing(first)).toBe('behind')
    await expect(again.scan({}, { at: 1 })).rejects.toThrow(HorizonError)
    expect((await again.scan({}, { at: 2 })).map(({ spec }) => spec['value'])).toEqual([2])
  })

  test('S29 a commit that waits when the store is closed is written', async () => {
    const { store, reopen } = await open()
    const written = write(store, put('a', 1))
    const again = await reopen()
    expect((await written).revision).toBe(1)
    expect((await again.store.get(keyOf('a')))?.revision).toBe(1)
  })

  test('S25 all rows at a revision are read in pages of 500, and also if the last page is full', async () => {
    const { store } = await open()
    const rows = Array.from({ length: 1_000 }, (_unused, index) => put(`n${String(index).padStart(4, '0')}`, 1))
    await write(store, ...rows.slice(0, 999))
    await write(store, ...rows.slice(999))
    const pagesAt = async (revision: number) => {
      const pages: string[][] = []
      for await (const page of stateAt(store, revision)) pages.push(page.map(({ key }) => key.name))
      return pages
    }
    expect((await pagesAt(1)).map(({ length }) => length)).toEqual([500, 499])
    expect((await pagesAt(2)).map(({ length }) => length)).toEqual([500, 500, 0])
    expect((await pagesAt(2)).flat()).toEqual(rows.map(({ key }) => key.name))
    // A scan without a limit, or with a larger one, reads several pages.
    const scanned = async (options: { readonly limit?: number }) =>
      (await store.scan({}, options)).map(({ key }) => key.name)
    expect(await scanned({})).toEqual(rows.map(({ key }) => key.name))
    expect(await scanned({ limit: 750 })).toEqual(rows.slice(0, 750).map(({ key }) => key.name))
    const changed = await changesAfter(store, 0, 2)
    expect(changed?.map(({ key }) => key.name)).toEqual(rows.map(({ key }) => key.name))
    const between: string[] = []
    for await (const { key } of versionsBetween(store, 1, 2)) between.push(key.name)
    expect(between).toEqual(['n0999'])
  })

  test('S28 a list of changes below the horizon is none, and another fault is thrown', async () => {
    const { store } = await open({ horizonRevisions: 1 })
    for (let value = 1; value <= 4; value += 1) await write(store, put('a', value))
    expect(await changesAfter(store, 0, 4)).toBeUndefined()
    expect(await changesAfter(store, 4, 4)).toEqual([])
    const failing = { ...store, changesSince: () => Promise.reject(new Error('the disk fails')) }
    await expect(changesAfter(failing, 4, 4)).rejects.toThrow('the disk fails')
  })
})
