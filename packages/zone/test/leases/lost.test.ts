import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { markLost, removeLost } from '../../src/leases/lost.ts'

const meta = { subject: 'test', intent: 'test' }
const dataplane = (name: string, origin = 'east') => ({ origin, kind: 'Dataplane', mesh: 'default', name })
const lost = { 'zonemesh.io/lost': 'yes' }
const put = (name: string, labels: Record<string, string> = {}, origin?: string): Change => ({
  op: 'put',
  key: dataplane(name, origin),
  labels,
  spec: { networking: { address: '10.0.0.1' } },
})

async function storeWith(...changes: Change[]): Promise<Store> {
  const store = createMemoryStore({ clock: createVirtualClock(1_000), random: createSeededRandom(1) })
  await store.commit({ changes, ...meta })
  return store
}
const labelsOf = async (store: Store) =>
  Object.fromEntries((await store.scan({ kind: 'Dataplane' })).map(({ key, labels }) => [key.name, labels]))
const text = (name: string) => keyText(dataplane(name))

test('Z26 the row of a lost proxy gets a label and keeps all else, and a proxy without a row is skipped', async () => {
  const store = await storeWith(put('a', { team: 'x' }), put('b'), put('gone'))
  await store.commit({ changes: [{ op: 'delete', key: dataplane('gone') }], ...meta })
  await markLost(store, [text('a'), text('gone'), text('never')])
  expect(await labelsOf(store)).toEqual({ a: { team: 'x', ...lost }, b: {} })
  expect((await store.get(dataplane('a')))?.row?.spec).toEqual({ networking: { address: '10.0.0.1' } })
})

test('Z26 without any row of the lost proxies, and without lost proxies to remove, nothing is committed', async () => {
  const store = await storeWith(put('a'))
  let commits = 0
  const counting: Store = {
    ...store,
    commit(commit) {
      commits += 1
      return store.commit(commit)
    },
  }
  await markLost(counting, [text('never')])
  expect(await removeLost(counting, 'east')).toEqual([])
  expect(commits).toBe(0)
})

test('Z26 if a proxy registers again while the lost ones are labelled, none of them is labelled', async () => {
  const store = await storeWith(put('a'), put('b'))
  const racing: Store = {
    ...store,
    async get(key) {
      const found = await store.get(key)
      if (key.name === 'b') await store.commit({ changes: [put('b', { back: 'yes' })], ...meta })
      return found
    },
  }
  await expect(markLost(racing, [text('a'), text('b')])).rejects.toThrow('registered again')
  expect(await labelsOf(store)).toEqual({ a: {}, b: { back: 'yes' } })
})

test('Z26 a release removes the rows of all lost proxies of the own zone, as a declared removal', async () => {
  const store = await storeWith(put('a', lost), put('b'), put('c', lost), put('d', lost, 'west'))
  expect([...(await removeLost(store, 'east'))].sort()).toEqual([text('a'), text('c')])
  expect(Object.keys(await labelsOf(store)).sort()).toEqual(['b', 'd'])
  expect(await store.get(dataplane('a'))).toMatchObject({ state: 'deleted', declared: true })
})

test('Z26 a release also removes a single lost proxy', async () => {
  const store = await storeWith(put('a', lost))
  expect(await removeLost(store, 'east')).toEqual([text('a')])
  expect(await labelsOf(store)).toEqual({})
})
