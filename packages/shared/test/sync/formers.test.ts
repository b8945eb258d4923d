import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import type { Lead } from '../../src/leader/election.ts'
import { StoreUnavailableError } from '../../src/store/errors.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import type { Change, Store } from '../../src/store/store.ts'
import { createFormers, formerStayMs } from '../../src/sync/formers.ts'
import { names, write } from './mesh.ts'

const stayMs = 5 * 60_000
const received = (zone: string, name: string, incarnation: number): Change => ({
  op: 'put',
  key: { origin: zone, kind: 'Dataplane', mesh: 'default', name },
  labels: {},
  spec: {},
  stamp: { incarnation, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 },
})

/** A global with rows of incarnations 1 and 2 of zone east, and the record that the former ones stay. */
async function createGlobal(formers = 1) {
  const clock = createVirtualClock(1_000)
  const store = createMemoryStore({ clock, random: createSeededRandom(1) })
  let fault: Error | undefined
  let lead: Lead | undefined = { term: 0, guards: [] }
  const commits: number[] = []
  const faulty: Store = {
    ...store,
    async commit(commit) {
      if (fault) throw fault
      commits.push(commit.changes.length)
      return store.commit(commit)
    },
  }
  const stock = createFormers({ store: faulty, clock, log: silentLog, stayMs: formerStayMs, lead: () => lead })
  const old = Array.from({ length: formers }, (_, index) => received('east', `former-${index}`, 1))
  for (let at = 0; at < old.length; at += 1000) await write(store, ...old.slice(at, at + 1000))
  await write(store, received('east', 'new', 2), received('west', 'other', 1), ...stock.stays('east', 2, formers))
  return {
    clock,
    store,
    stock,
    commits,
    dataplanes: () => names(store, 'Dataplane'),
    setFault(next: Error | undefined) {
      fault = next
    },
    setLead(next: Lead | undefined) {
      lead = next
    },
  }
}

test('Y11 former rows of a zone stay for 5 minutes after they were first seen, and then only they are removed', async () => {
  const { clock, stock, dataplanes } = await createGlobal()
  expect(stock.byZone()).toEqual(new Map())
  clock.advance(1_000_000)
  await stock.look()
  expect(stock.byZone()).toEqual(new Map([['east', { rows: 1, expiresInMs: stayMs }]]))
  clock.advance(stayMs - 1)
  await stock.look()
  expect(stock.byZone().get('east')?.expiresInMs).toBe(1)
  expect(await dataplanes()).toEqual(['east/former-0', 'east/new', 'west/other'])
  clock.advance(1)
  await stock.look()
  expect(await dataplanes()).toEqual(['east/new', 'west/other'])
  await stock.look()
  expect(stock.byZone()).toEqual(new Map())
})

test('Y11 a second loss of the store begins the time of the former rows again', async () => {
  const { clock, store, stock, dataplanes } = await createGlobal()
  await stock.look()
  clock.advance(stayMs)
  await write(store, ...stock.stays('east', 3, 2))
  await stock.look()
  expect(stock.byZone().get('east')).toEqual({ rows: 2, expiresInMs: stayMs })
  clock.advance(stayMs)
  expect(stock.byZone().get('east')?.expiresInMs).toBe(0)
  clock.advance(1_000)
  expect(stock.byZone().get('east')?.expiresInMs).toBe(0)
  await stock.look()
  expect(await dataplanes()).toEqual(['west/other'])
})

test('Y11 an operator may keep the former rows for good', async () => {
  const { clock, store, stock, dataplanes } = await createGlobal()
  await stock.look()
  expect(await stock.keep('east', 'user anna')).toBe(true)
  expect(stock.byZone()).toEqual(new Map())
  expect((await store.records({ after: 0, limit: 10 })).at(-1)).toMatchObject({
    subject: 'user anna',
    intent: 'keep the rows of a former store of zone east',
  })
  clock.advance(stayMs)
  await stock.look()
  expect(await dataplanes()).toHaveLength(3)
  expect(await stock.keep('east', 'user anna')).toBe(false)
})

test('S1 expired rows are removed in commits of at most 900 rows and the check of their record', async () => {
  const { clock, stock, commits, dataplanes } = await createGlobal(1_800)
  await stock.look()
  clock.advance(stayMs)
  await stock.look()
  expect(commits).toEqual([901, 901, 1])
  expect(await dataplanes()).toEqual(['east/new', 'west/other'])
})

test('Y11 rows that were kept during their removal are not removed further', async () => {
  const { clock, store, stock, dataplanes } = await createGlobal()
  const version = await store.get({ origin: 'global', kind: 'SyncFormer', mesh: '', name: 'east' })
  await stock.look()
  clock.advance(stayMs)
  // An operator keeps the rows between the read of the record and the commit.
  const racing = createFormers({
    store: { ...store, get: async () => version },
    clock,
    log: silentLog,
    stayMs: 0,
    lead: () => ({ term: 0, guards: [] }),
  })
  await racing.look()
  await stock.keep('east', 'user anna')
  await write(store, ...stock.stays('east', 2, 1))
  await racing.look()
  expect(await dataplanes()).toHaveLength(3)
})

test('ZR1 only the leader of the replicas of a global removes expired rows, and a former leader is refused', async () => {
  const { clock, store, stock, dataplanes, setLead } = await createGlobal()
  const key = { origin: 'global', kind: 'PlaneLeader', mesh: '', name: 'plane' }
  await write(store, { op: 'put', key, labels: {}, spec: { instance: 'other' } })
  const term = (await store.get(key))?.revision ?? 0
  await stock.look()
  clock.advance(stayMs)
  const guard = (revision: number): Lead => ({ term: revision, guards: [{ op: 'check', key, expect: { revision } }] })
  for (const lead of [undefined, guard(term - 1)]) {
    setLead(lead)
    await stock.look()
    expect(await dataplanes()).toHaveLength(3)
  }
  setLead(guard(term))
  await stock.look()
  expect(await dataplanes()).toEqual(['east/new', 'west/other'])
})

test('Y11 a removal that fails is repeated at the next look', async () => {
  const { clock, stock, dataplanes, setFault } = await createGlobal()
  await stock.look()
  clock.advance(stayMs)
  setFault(new StoreUnavailableError('the disk is full'))
  await stock.look()
  expect(await dataplanes()).toHaveLength(3)
  setFault(undefined)
  await stock.look()
  expect(await dataplanes()).toHaveLength(2)
})
