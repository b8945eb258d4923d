import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { beginIncarnation } from '../../src/sync/incarnation.ts'
import { put, write } from './mesh.ts'

const createStore = () => createMemoryStore({ clock: createVirtualClock(5), random: createSeededRandom(1) })

test('Y12 a new incarnation is above the former one, and all own rows belong to it with their former revisions', async () => {
  const store = createStore()
  await write(store, put('global', 'Policy', 'a', { text: 'x' }), put('east', 'Service', 's'))
  const [before] = await store.scan({ kind: 'Policy' })
  expect(await beginIncarnation(store, 'global', 9)).toBe(true)
  expect(store.incarnation).toBe(10)
  const [after] = await store.scan({ kind: 'Policy' })
  expect(after).toMatchObject({ spec: { text: 'x' }, stamp: { ...before?.stamp, incarnation: 10 } })
  const [other] = await store.scan({ kind: 'Service' })
  expect(other?.stamp.incarnation).toBe(5)
})

test('Y12 a repeated or late request changes nothing', async () => {
  const store = createStore()
  await write(store, put('global', 'Policy', 'a'))
  await beginIncarnation(store, 'global', 9)
  const { revision } = await store.head()
  expect(await beginIncarnation(store, 'global', 9)).toBe(false)
  expect(await beginIncarnation(store, 'global', 3)).toBe(false)
  expect((await store.head()).revision).toBe(revision)
})

test('Y12 an interrupted beginning is completed, although the incarnation is already the new one', async () => {
  const store = createStore()
  await write(store, put('global', 'Policy', 'a'))
  await store.raiseIncarnation(10)
  expect(await beginIncarnation(store, 'global', 9)).toBe(true)
  expect((await store.scan({ kind: 'Policy' }))[0]?.stamp.incarnation).toBe(10)
  const empty = createStore()
  expect(await beginIncarnation(empty, 'global', 9)).toBe(true)
})

test('S1 the rows of a new incarnation are written in commits of at most 900', async () => {
  const store = createStore()
  const rows = Array.from({ length: 1_801 }, (_, index) => put('global', 'Policy', `p${index}`))
  for (let at = 0; at < rows.length; at += 1000) await write(store, ...rows.slice(at, at + 1000))
  const { revision } = await store.head()
  await beginIncarnation(store, 'global', 9)
  const written = await store.records({ after: revision, limit: 10 })
  expect(written.map((record) => record.rows)).toEqual([900, 900, 1])
})
