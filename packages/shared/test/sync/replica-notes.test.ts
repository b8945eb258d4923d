import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { createReplicas, type PublishedZone, replicaNames } from '../../src/sync/replicas.ts'
import { blank, type ZoneStatus } from '../../src/sync/zone-status.ts'

const startMs = 10_000
const zoneOf = (status: Partial<ZoneStatus>, more: Partial<PublishedZone> = {}) =>
  new Map([['east', { status: { ...blank('east'), ...status }, completeAt: undefined, bookmarkAtMs: 0, ...more }]])

/** Two processes of one global that share the notes of a store. `puts` has the names of each write. */
function createGlobals() {
  const clock = createVirtualClock(startMs)
  const store = createMemoryStore({ clock, random: createSeededRandom(1) })
  const puts: string[][] = []
  const reads: string[] = []
  const shared: Store = {
    ...store,
    notes: {
      async put(entries) {
        puts.push(entries.map(({ name }) => name))
        await store.notes.put(entries)
      },
      async read(prefix) {
        reads.push(prefix)
        return store.notes.read(prefix)
      },
      onWake: store.notes.onWake,
    },
  }
  const create = (instance: string) => createReplicas({ store: shared, clock, instance })
  return { clock, store, puts, reads, create, one: create('one'), other: create('other') }
}

test('Y22 a replica publishes a change at once, and a beat every 2 s without one', async () => {
  const { clock, puts, one } = createGlobals()
  const { report, counters } = blank('east')
  const publish = async (status: Partial<ZoneStatus>) => {
    const before = puts.length
    await one.publish(zoneOf({ report, ...status }))
    return puts.length > before
  }
  expect(await publish({ stored: 1 })).toBe(true)
  expect(await publish({ stored: 1 })).toBe(false)
  expect(await publish({ stored: 2 })).toBe(true)
  expect(await publish({ stored: 2, counters: { ...counters, proxies: 1 } })).toBe(true)
  expect(await publish({ stored: 2, counters: { ...counters, proxies: 1, proxiesConnected: 1 } })).toBe(true)
  clock.advance(1_999)
  // What every bookmark changes is published only with the next beat.
  const changing = { lag: 3, lagMs: 4, current: true, lastBookmarkAtMs: 9 }
  const counted = { ...counters, proxies: 1, proxiesConnected: 1, rowsReceived: 5 }
  expect(await publish({ stored: 2, ...changing, counters: counted })).toBe(false)
  clock.advance(1)
  expect(await publish({ stored: 2, ...changing, counters: counted })).toBe(true)
})

test('Y22 only a change of the report writes the report again', async () => {
  const { clock, puts, one } = createGlobals()
  const report = { a: { state: 'online' } }
  await one.publish(zoneOf({ report }))
  clock.advance(2_000)
  await one.publish(zoneOf({ report }))
  clock.advance(1)
  await one.publish(zoneOf({ report: { ...report } }))
  clock.advance(1)
  await one.publish(zoneOf({ report }, { completeAt: 7 }))
  expect(puts).toEqual([
    ['replica-report/one/east', 'replica/one'],
    ['replica/one'],
    ['replica-report/one/east', 'replica/one'],
    ['replica-report/one/east', 'replica/one'],
  ])
})

test('Y22 a status, its report and its age are read by the other replicas, and not by the own one', async () => {
  const { clock, one, other } = createGlobals()
  const report = { a: { state: 'online' } }
  await one.publish(zoneOf({ epoch: 1 }))
  await other.collect()
  clock.advance(100)
  await one.publish(zoneOf({ epoch: 2, stored: 7, report }, { completeAt: 7, bookmarkAtMs: startMs + 70 }))
  clock.advance(50)
  expect(await one.collect()).toEqual(new Map())
  await one.publish(zoneOf({ epoch: 2, stored: 7, report }, { completeAt: 7, bookmarkAtMs: startMs + 70 }))
  expect(await one.collect()).toEqual(new Map())
  const found = await other.collect()
  // The note was written after the last collection, and the bookmark was 30 ms old then.
  const status = { ...blank('east'), epoch: 2, stored: 7, report }
  expect(found.get('east')).toEqual({ replica: 'one', status, completeAt: 7, bookmarkAtMs: startMs - 30 })
  // The same object until a newer status is read, and a report that has not changed is not read again.
  expect((await other.collect()).get('east')).toBe(found.get('east'))
})

test('Y22 a report is read again only if it has changed', async () => {
  const { clock, one, other, reads } = createGlobals()
  const publish = async (stored: number, report: ZoneStatus['report']) => {
    clock.advance(1)
    await one.publish(zoneOf({ stored, report }))
    reads.length = 0
    await other.collect()
    return reads.length
  }
  const report = { a: { state: 'online' } }
  await publish(1, report)
  expect(await publish(2, report)).toBe(2)
  expect(await publish(3, report)).toBe(1)
  expect(await publish(4, { ...report, b: { state: 'silent' } })).toBe(2)
  expect((await other.collect()).get('east')?.status.report).toHaveProperty('b')
})

test('Y22 a zone without a bookmark has an infinite age', async () => {
  const { clock, one, other } = createGlobals()
  await one.publish(zoneOf({ epoch: 1 }))
  await other.collect()
  clock.advance(2_000)
  await one.publish(zoneOf({ epoch: 1 }, { bookmarkAtMs: Number.NEGATIVE_INFINITY }))
  expect((await other.collect()).get('east')?.bookmarkAtMs).toBe(Number.NEGATIVE_INFINITY)
})

test('Y22 notes from before a process started count only once their replica beats', async () => {
  const { clock, one, create } = createGlobals()
  await one.publish(zoneOf({ epoch: 1 }))
  const late = create('late')
  expect(await late.collect()).toEqual(new Map())
  clock.advance(2_000)
  await one.publish(zoneOf({ epoch: 1 }))
  expect([...(await late.collect()).keys()]).toEqual(['east'])
})

test('Y22 a replica without a beat for more than 10 s is gone, with all its notes', async () => {
  const { clock, store, one, other } = createGlobals()
  await one.publish(zoneOf({ epoch: 1 }))
  await other.collect()
  clock.advance(2_000)
  await one.publish(zoneOf({ epoch: 1 }))
  await other.collect()
  clock.advance(10_000)
  expect((await other.collect()).size).toBe(1)
  expect(await replicaNames(store)).toEqual(['one'])
  clock.advance(1)
  expect((await other.collect()).size).toBe(0)
  expect((await store.notes.read('replica')).size).toBe(0)
  // It was only suspended. It counts again from its second beat.
  await one.publish(zoneOf({ epoch: 1, stored: 1 }))
  expect((await other.collect()).size).toBe(0)
  await one.publish(zoneOf({ epoch: 1, stored: 2 }))
  expect((await other.collect()).get('east')?.status.stored).toBe(2)
})

test('Y22 of two replicas that publish a zone the one with the newer session counts', async () => {
  const { clock, one, other, create } = createGlobals()
  const reader = create('reader')
  for (const stored of [1, 2]) {
    await one.publish(zoneOf({ epoch: 4, stored }))
    await other.publish(zoneOf({ epoch: 3, stored }))
    await reader.collect()
    clock.advance(1)
  }
  expect((await reader.collect()).get('east')?.status.epoch).toBe(4)
  await other.publish(zoneOf({ epoch: 5 }))
  expect((await reader.collect()).get('east')?.status.epoch).toBe(5)
})

test('Y22 a replica does not follow itself', async () => {
  const { one } = createGlobals()
  for (const stored of [1, 2, 3]) {
    await one.publish(zoneOf({ epoch: 1, stored }))
    expect(await one.collect()).toEqual(new Map())
  }
})

test('Y22 a replica that leaves removes its notes, and those of no other', async () => {
  const { store, one, other, puts } = createGlobals()
  await one.publish(zoneOf({ epoch: 1, report: { a: {} } }))
  await other.publish(zoneOf({ epoch: 2, report: { a: {} } }))
  expect(await replicaNames(store)).toEqual(['one', 'other'])
  await one.leave()
  expect([...(await store.notes.read('')).keys()].sort()).toEqual(['replica-report/other/east', 'replica/other'])
  const writes = puts.length
  await other.collect()
  expect(puts).toHaveLength(writes)
})
