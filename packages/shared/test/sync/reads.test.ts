import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { sightOfGlobal, sightOfZone } from '../../src/sync/log/who-sees.ts'
import { createReads } from '../../src/sync/reads.ts'
import { put, remove, rules, write } from './mesh.ts'

function createStore(horizonRevisions?: number) {
  const deps = { clock: createVirtualClock(5), random: createSeededRandom(1) }
  return createMemoryStore(deps, horizonRevisions === undefined ? {} : { horizonRevisions })
}
const originsAt = async () => ['global']
const policies = (count: number) => Array.from({ length: count }, (_, index) => put('global', 'Policy', `p${index}`))

test('L8 rows and changes are read in pages of 500', async () => {
  const store = createStore()
  const { revision } = await write(store, ...policies(501))
  const { changesSince } = store
  const read = createReads({ store, sight: sightOfZone(rules, 'west'), originsAt, changesSince })
  const first = await read({ type: 'read-rows', origin: 'global', at: revision })
  if (first.type !== 'rows' || first.next === undefined) throw new Error('a next page was expected')
  expect(first.rows).toHaveLength(500)
  const last = await read({ type: 'read-rows', origin: 'global', at: revision, after: first.next })
  expect(last).toMatchObject({ type: 'rows', rows: { length: 1 } })
  expect(last).not.toHaveProperty('next')
  const changes = await read({ type: 'read-changes', after: 0, through: revision })
  if (changes.type !== 'changes' || changes.next === undefined) throw new Error('a next page was expected')
  expect(changes.candidates).toHaveLength(500)
  const rest = await read({ type: 'read-changes', after: 0, through: revision, resume: changes.next })
  expect(rest).toMatchObject({ type: 'changes', candidates: { length: 1 } })
  expect(rest).not.toHaveProperty('next')
})

test('Y31 the row that a reader may have seen is read only if sight depends on the content and the new row is hidden', async () => {
  const store = createStore()
  const certificate = (name: string, zone: string, serial = 1) => put('global', 'Certificate', name, { zone, serial })
  const { revision: after } = await write(
    store,
    certificate('leaves', 'west'),
    certificate('stays', 'west'),
    put('global', 'Policy', 'gone'),
  )
  await write(store, certificate('leaves', 'north'))
  const { revision: through } = await write(
    store,
    certificate('leaves', 'east'),
    certificate('stays', 'west', 2),
    certificate('new', 'east'),
    remove('global', 'Policy', 'gone'),
  )
  const { changesSince } = store
  const read = createReads({ store, sight: sightOfZone(rules, 'west'), originsAt, changesSince })
  const changes = await read({ type: 'read-changes', after, through })
  const found = changes.type === 'changes' ? changes.candidates : []
  expect(found.map(({ version, before }) => [version.key.name, before?.spec['zone']])).toEqual([
    ['leaves', 'west'],
    ['new', undefined],
    ['stays', undefined],
    ['gone', undefined],
  ])
})

test('Y31 for a reader that sees one origin, only rows of this origin are read', async () => {
  const store = createStore()
  const { revision } = await write(store, put('west', 'Service', 's'), ...policies(3))
  const { changesSince } = store
  const read = createReads({ store, sight: sightOfGlobal(rules, 'west'), originsAt, changesSince })
  const changes = await read({ type: 'read-changes', after: 0, through: revision })
  expect(changes).toMatchObject({ candidates: [{ version: { key: { origin: 'west' } } }] })
})

test('Y28 a read below the horizon reports that the round is lost, and other faults are thrown', async () => {
  const store = createStore(1)
  for (const name of ['a', 'b', 'c', 'd']) await write(store, put('global', 'Policy', name))
  const sight = sightOfZone(rules, 'west')
  const read = createReads({ store, sight, originsAt, changesSince: store.changesSince })
  expect(await read({ type: 'read-changes', after: 0, through: 4 })).toEqual({ type: 'lost' })
  const fault = new Error('a bug')
  const failing = createReads({
    store,
    sight,
    originsAt: () => Promise.reject(fault),
    changesSince: store.changesSince,
  })
  await expect(failing({ type: 'read-origins', at: 1, reason: 'new' })).rejects.toBe(fault)
})

test('Y17 the end of a round comes from the marks if there are any, otherwise it is the mark of the store', async () => {
  const store = createStore()
  const mark = await write(store, put('global', 'Policy', 'a'))
  const sight = sightOfZone(rules, 'west')
  const deps = { store, sight, originsAt, changesSince: store.changesSince }
  expect(await createReads(deps)({ type: 'read-mark', after: 0 })).toEqual({ type: 'marked', mark })
  const through = { ...mark, revision: 0 }
  const marks = {
    read: async (after: number | undefined) => ({ mark, through: { ...through, revision: after ?? -1 } }),
  }
  const read = createReads({ ...deps, marks })
  expect(await read({ type: 'read-mark', after: 7 })).toMatchObject({ type: 'marked', mark, through: { revision: 7 } })
  expect(await read({ type: 'read-origins', at: 1, reason: 'new' })).toEqual({ type: 'origins', origins: ['global'] })
})
