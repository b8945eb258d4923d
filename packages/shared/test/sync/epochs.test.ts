import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import type { Position, Store } from '../../src/store/store.ts'
import { newestEpochs, nextEpoch } from '../../src/sync/epochs.ts'
import type { Hello } from '../../src/sync/log/messages.ts'

/** Opens sessions of one zone. Each has an incarnation, its known reserve, and the count that it requests. */
function createZone() {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
  return async (incarnation: number, below: number, count: number) => {
    const hello: Hello = {
      protocol: { min: 1, max: 1, features: [] },
      ...{ storeId: 's', incarnation, host: 'h', startedAtMs: 0, version: 't', position: undefined, creditBytes: 1 },
      ...{ replica: 'r', uncovered: [], reserve: { below, count } },
    }
    return (await nextEpoch(store, 'east', hello)).reserved
  }
}

test('Y41 an incarnation without numbers gets numbers above all former ones, the same at each attempt', async () => {
  const open = createZone()
  expect(await open(1, 0, 100)).toEqual({ below: 100, before: 0 })
  expect(await open(1, 0, 100)).toEqual({ below: 100, before: 0 })
  expect(await open(2, 0, 100)).toEqual({ below: 200, before: 100 })
  expect(await open(2, 0, 100)).toEqual({ below: 200, before: 100 })
  expect(await open(3, 0, 100)).toEqual({ below: 300, before: 200 })
})

test('Y41 a zone that requests more numbers gets them once, and gets the same ones again until it has them', async () => {
  const open = createZone()
  await open(1, 0, 100)
  expect(await open(1, 100, 0)).toEqual({ below: 100, before: 0 })
  expect(await open(1, 100, 50)).toEqual({ below: 150, before: 0 })
  expect(await open(1, 100, 50)).toEqual({ below: 150, before: 0 })
  expect(await open(1, 150, 50)).toEqual({ below: 200, before: 0 })
})

test('Y41 a global that has lost its store takes over what the zone has reserved', async () => {
  const open = createZone()
  expect(await open(7, 300, 0)).toEqual({ below: 300, before: 0 })
  expect(await open(8, 0, 100)).toEqual({ below: 400, before: 300 })
})

const createStore = (horizonRevisions = 20_000) =>
  createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) }, { horizonRevisions })
const helloOf = (incarnation: number, position?: Position): Hello => ({
  protocol: { min: 1, max: 1, features: [] },
  ...{ storeId: 'zone-store', incarnation, host: 'h', startedAtMs: 7, version: 't', position, creditBytes: 1 },
  ...{ replica: 'r', uncovered: [] },
})

const write = (store: Store, name: string) =>
  store.commit({
    changes: [{ op: 'put', key: { origin: 'global', kind: 'K', mesh: '', name }, labels: {}, spec: {} }],
    ...{ subject: 's', intent: 'i' },
  })

test('Y4 each session of a zone gets the next epoch, and the guard of every former one fails', async () => {
  const store = createStore()
  const first = await nextEpoch(store, 'east', helloOf(1))
  const second = await nextEpoch(store, 'east', helloOf(1))
  await nextEpoch(store, 'west', helloOf(1))
  expect([first.epoch, second.epoch]).toEqual([1, 2])
  expect(second.reserved).toEqual({ below: 0, before: 0 })
  const passes = async ({ guard }: typeof first) =>
    (await store.commit({ changes: [guard], subject: 's', intent: 'i' })).ok
  expect([await passes(first), await passes(second)]).toEqual([false, true])
  expect(await newestEpochs(store)).toEqual(
    new Map([
      ['east', 2],
      ['west', 1],
    ]),
  )
})

test('Y14 the epoch row shows the owner of the session, and opening it moves no mark', async () => {
  const store = createStore()
  const { guard } = await nextEpoch(store, 'east', helloOf(4))
  const version = await store.get(guard.key)
  expect(version?.row?.spec).toMatchObject({
    ...{ epoch: 1, storeId: 'zone-store', host: 'h', startedAtMs: 7, replica: 'r', incarnation: 4 },
  })
  expect(version?.row?.spec).not.toHaveProperty('diverged')
  expect((await store.mark()).revision).toBe(0)
  expect((await store.records({ after: 0, limit: 1 }))[0]).toMatchObject({
    subject: 'zone east',
    intent: 'open a sync session',
  })
})

test('Y11 a session learns the highest incarnation of the zone before it', async () => {
  const store = createStore()
  const former: number[] = []
  for (const incarnation of [3, 2, 5, 1])
    former.push((await nextEpoch(store, 'east', helloOf(incarnation))).formerIncarnation)
  expect(former).toEqual([0, 3, 3, 5])
})

test('Y8 a position of another history stays diverged after pruning, and another position below the horizon does not', async () => {
  const store = createStore(2)
  await write(store, 'a')
  const foreign = { store: store.id, revision: 1, commitId: 'f00' }
  expect((await nextEpoch(store, 'east', helloOf(1))).standing).toBe('new')
  expect((await nextEpoch(store, 'east', helloOf(1, foreign))).standing).toBe('diverged')
  const valid = await store.head()
  expect((await nextEpoch(store, 'north', helloOf(1, valid))).standing).toBe('valid')
  for (const name of ['b', 'c', 'd', 'e']) await write(store, name)
  expect((await nextEpoch(store, 'north', helloOf(1, valid))).standing).toBe('behind')
  expect(await store.standing(foreign)).toBe('behind')
  expect((await nextEpoch(store, 'east', helloOf(1, foreign))).standing).toBe('diverged')
  const other = { ...foreign, commitId: 'ba5' }
  expect((await nextEpoch(store, 'east', helloOf(1, other))).standing).toBe('behind')
  // The session with another position has ended the record of the divergence.
  expect((await nextEpoch(store, 'east', helloOf(1, foreign))).standing).toBe('behind')
  expect((await nextEpoch(store, 'east', helloOf(1, await store.head()))).standing).toBe('valid')
})

test('Y8 after a restore a position below the horizon is of another history until the zone was in a session', async () => {
  const store = createStore(2)
  await write(store, 'a')
  await nextEpoch(store, 'east', helloOf(1, await store.head()))
  await nextEpoch(store, 'west', helloOf(1, await store.head()))
  // Another zone has shown that the store was restored.
  await store.raiseIncarnation(store.incarnation + 1)
  const lost = { store: store.id, revision: 3, commitId: 'f00' }
  const known = await store.head()
  expect(await nextEpoch(store, 'west', helloOf(1, known))).toMatchObject({ standing: 'valid' })
  for (const name of ['b', 'c', 'd', 'e']) await write(store, name)
  expect(await store.standing(lost)).toBe('behind')
  const met = await nextEpoch(store, 'east', helloOf(1, lost))
  expect(met).toMatchObject({ standing: 'diverged', showsRestore: false })
  expect(await nextEpoch(store, 'west', helloOf(1, known))).toMatchObject({ standing: 'behind', showsRestore: false })
})

test('Y12 the first position of another history shows that the store was restored', async () => {
  const store = createStore()
  const foreign = { store: store.id, revision: 1, commitId: 'f00' }
  expect(await nextEpoch(store, 'east', helloOf(1))).toMatchObject({ standing: 'new', showsRestore: false })
  expect(await nextEpoch(store, 'east', helloOf(1, foreign))).toMatchObject({
    standing: 'diverged',
    showsRestore: true,
  })
  const elsewhere = { ...foreign, store: 'another' }
  expect(await nextEpoch(store, 'east', helloOf(1, elsewhere))).toMatchObject({ showsRestore: false })
  await store.raiseIncarnation(store.incarnation + 1)
  expect(await nextEpoch(store, 'east', helloOf(1, foreign))).toMatchObject({
    standing: 'diverged',
    showsRestore: false,
  })
})

test('Y4 a session that loses ten attempts to other sessions gets no epoch', async () => {
  const store = createStore()
  let attempts = 0
  let wins = 9
  const racing = {
    ...store,
    async commitRound(...args: Parameters<typeof store.commitRound>) {
      attempts += 1
      if (attempts <= wins) await nextEpoch(store, 'east', helloOf(1))
      return store.commitRound(...args)
    },
  }
  expect((await nextEpoch(racing, 'east', helloOf(1))).epoch).toBe(10)
  attempts = 0
  wins = 10
  await expect(nextEpoch(racing, 'east', helloOf(1))).rejects.toThrow('zone east cannot get an epoch: 10 attempts lost')
  expect(attempts).toBe(10)
})

test('Y4 a zone whose epoch row was deleted begins again at 1', async () => {
  const store = createStore()
  const { guard } = await nextEpoch(store, 'east', helloOf(9))
  await store.commit({ changes: [{ op: 'delete', key: guard.key }], subject: 's', intent: 'i' })
  expect(await nextEpoch(store, 'east', helloOf(1))).toMatchObject({ epoch: 1, formerIncarnation: 0 })
})
