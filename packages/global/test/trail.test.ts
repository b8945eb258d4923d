import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { openTrail } from '../src/trail/trail.ts'

/** A store with its clock and a trail, which may be closed and opened again over the same contents. */
async function scene() {
  const clock = createVirtualClock(1_000)
  const deps = { clock, random: systemRandom, log: silentLog }
  const contents = createMemoryContents(deps)
  const puts: number[] = []
  const open = async () => {
    const memory = createMemoryStore(deps, { contents })
    const notes: Store['notes'] = {
      read: (prefix) => memory.notes.read(prefix),
      onWake: memory.notes.onWake,
      put: (entries) => {
        puts.push(entries.length)
        return memory.notes.put(entries)
      },
    }
    const store: Store = { ...memory, notes }
    return { store, trail: await openTrail({ ...deps, store }) }
  }
  let { store, trail } = await open()
  return {
    clock,
    puts,
    trail: () => trail,
    head: async () => (await store.head()).revision,
    notes: async () => [...(await store.notes.read('trail/')).keys()],
    async write(...changes: Change[]): Promise<number> {
      const outcome = await store.commit({ changes, subject: 'ada', intent: 'test' })
      if (!outcome.ok) throw new Error('refused')
      // The trail has read the commit when this resolves.
      await trail.timesOf(0)
      return outcome.position.revision
    },
    /** The trail of another process with the same store. */
    second: async () => openTrail({ ...deps, store }),
    async restart() {
      await trail[Symbol.asyncDispose]()
      const opened = await open()
      store = opened.store
      trail = opened.trail
    },
  }
}

const key = (kind: string, name: string, origin = 'global') => ({
  origin,
  kind,
  mesh: kind === 'Timeout' ? 'default' : '',
  name,
})
const put = (kind: string, name: string, spec = {}, origin = 'global'): Change => ({
  op: 'put',
  key: key(kind, name, origin),
  labels: {},
  spec,
})
const zones = ['west', 'east'].map((name) => put('Zone', name))

test('H14 the first time at which a zone reported a revision is kept together with that revision', async () => {
  const { write, trail, clock } = await scene()
  await write(...zones)
  const first = await write(put('Timeout', 't', { n: 1 }))
  const second = await write(put('Timeout', 't', { n: 2 }))
  clock.advance(5)
  trail().record({ zone: 'east', stored: first, served: 0 })
  clock.advance(5)
  trail().record({ zone: 'east', stored: second, served: second })
  trail().record({ zone: 'west', stored: second, served: first })
  clock.advance(5)
  trail().record({ zone: 'east', stored: second + 7, served: second + 7 })
  const reported = (atMs: number, revision: number) => ({ atMs, revision })
  expect(await trail().timesOf(first)).toEqual([
    { zone: 'east', stored: reported(1_005, first), served: reported(1_010, second) },
    { zone: 'west', stored: reported(1_010, second), served: reported(1_010, first) },
  ])
  expect(await trail().timesOf(second)).toEqual([
    { zone: 'east', stored: reported(1_010, second), served: reported(1_010, second) },
    { zone: 'west', stored: reported(1_010, second) },
  ])
})

test('H14 a report of a zone counts even if the commit has not reached this process yet', async () => {
  const { write, trail, head } = await scene()
  await write(...zones)
  trail().record({ zone: 'east', stored: (await head()) + 1, served: 0 })
  const revision = await write(put('Timeout', 't'))
  expect(await trail().timesOf(revision)).toEqual([{ zone: 'east', stored: { atMs: 1_000, revision } }])
})

test('H15 times survive a restart, and repeated reports do not change them', async () => {
  const { write, trail, clock, restart } = await scene()
  await write(...zones)
  const revision = await write(put('Timeout', 't'))
  const later = await write(put('Timeout', 'u'))
  trail().record({ zone: 'east', stored: revision, served: revision })
  const before = await trail().timesOf(revision)
  await restart()
  clock.advance(60_000)
  expect(await trail().timesOf(revision)).toEqual(before)
  trail().record({ zone: 'east', stored: revision, served: 0 })
  trail().record({ zone: 'east', stored: later, served: later })
  expect(await trail().timesOf(revision)).toEqual(before)
  // No zone has reported this revision before, so it is found in the rows.
  const at = { atMs: 61_000, revision: later }
  expect(await trail().timesOf(later)).toEqual([{ zone: 'east', stored: at, served: at }])
})

test('H16 notes are written at most once per second, and create no commit', async () => {
  const { write, trail, clock, head, notes, puts, restart } = await scene()
  await write(...zones)
  const before = await head()
  for (let index = 0; index < 20; index += 1) {
    const revision = await write(put('Timeout', 't', { index }))
    trail().record({ zone: 'east', stored: revision, served: revision })
    clock.advance(100)
  }
  expect(await head()).toBe(before + 20)
  await restart()
  // The zones' own revision, and twenty of the timeout.
  expect(await notes()).toHaveLength(21)
  expect(puts).toEqual([11, 10])
})

test('H16 only commits of users on the global are followed, and of these the newest 500 revisions', async () => {
  const { write, trail, restart, notes } = await scene()
  await write(...zones)
  const internal = await write(put('MeshRoot', 'r'), put('Dataplane', 'web', {}, 'east'))
  const revisions: number[] = []
  for (let index = 0; index < 510; index += 1) {
    revisions.push(await write(put('Timeout', 't', { index })))
    trail().record({ zone: 'east', stored: revisions.at(-1) ?? 0, served: 0 })
  }
  const known = async () => {
    const times = await Promise.all(revisions.map((revision) => trail().timesOf(revision)))
    return revisions.filter((_revision, index) => (times[index] ?? []).length > 0)
  }
  expect(await trail().timesOf(internal)).toEqual([])
  expect(await known()).toEqual(revisions.slice(-500))
  await restart()
  expect(await known()).toEqual(revisions.slice(-500))
  expect(await notes()).toHaveLength(500)
})

test('H17 a deleted zone is removed even if its last session ends later, and a new zone of the same name starts afresh', async () => {
  const { write, trail, restart, notes } = await scene()
  await write(...zones)
  const revision = await write(put('Timeout', 't'))
  const east = { zone: 'east', stored: revision, served: revision }
  trail().record(east)
  await write({ op: 'delete', key: key('Zone', 'east') })
  trail().record(east)
  expect(await trail().timesOf(revision)).toEqual([])
  await restart()
  expect(await notes()).toEqual([])
  await write(put('Zone', 'east'))
  trail().record(east)
  expect(await trail().timesOf(revision)).toHaveLength(1)
})

test('H19 each process of a shared store answers with the earliest times that zones reported to any of them', async () => {
  const { write, trail, clock, second } = await scene()
  await write(...zones)
  const other = await second()
  const revision = await write(put('Timeout', 't'))
  trail().record({ zone: 'east', stored: revision, served: 0 })
  clock.advance(100)
  // A session that has moved to another process reports the same again.
  await other.timesOf(revision)
  other.record({ zone: 'east', stored: revision, served: revision })
  await trail()[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  const reported = (atMs: number) => ({ atMs, revision })
  expect(await other.timesOf(revision)).toEqual([{ zone: 'east', stored: reported(1_000), served: reported(1_100) }])
  expect(await trail().timesOf(revision)).toEqual(await other.timesOf(revision))
})
