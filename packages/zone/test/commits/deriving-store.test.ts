import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deriveOnCommit, loadDerivations } from '../../src/commits/deriving-store.ts'

const zone = 'west'
const meta = { subject: 'test', intent: 'test' }

async function open(raw?: Store) {
  const clock = createVirtualClock(1_000_000)
  const store = raw ?? createMemoryStore({ clock, random: createSeededRandom(1) })
  const derivations = [createAnnouncements({ zone }), createAddressBook({ zone })]
  await loadDerivations({ clock }, store, derivations)
  return { raw: store, store: deriveOnCommit({ clock }, store, derivations) }
}

const put = (name: string, services: readonly string[]): Change => ({
  op: 'put',
  key: { origin: zone, kind: 'Dataplane', mesh: 'default', name },
  labels: {},
  spec: {
    networking: {
      address: '10.0.0.1',
      inbound: services.map((service, index) => ({ port: 8000 + index, tags: { 'kuma.io/service': service } })),
    },
  },
})
const remove = (name: string): Change => ({
  op: 'delete',
  key: { origin: zone, kind: 'Dataplane', mesh: 'default', name },
})

const announced = async (store: Store) =>
  (await store.scan({ kind: 'AvailableService' })).map((row) => ({
    tags: row.spec['tags'],
    instances: row.spec['instances'],
  }))

test('Z10 the rows that follow from a Dataplane are in its own commit', async () => {
  const { store } = await open()
  const outcome = await store.commit({ changes: [put('a', ['echo'])], ...meta })
  expect(outcome.ok && new Set(outcome.written.map((version) => [version.key.kind, version.revision].join()))).toEqual(
    new Set(['Dataplane,1', 'AvailableService,1', 'VirtualAddress,1', 'VirtualAddressNumber,1']),
  )
  expect(await announced(store)).toEqual([{ tags: { 'kuma.io/service': 'echo', 'kuma.io/zone': zone }, instances: 1 }])
})

test('Z11 a stale row from another plane has no consequences', async () => {
  const { store } = await open()
  const row = (revision: number, service: string): Change => ({
    op: 'put',
    key: { origin: 'east', kind: 'AvailableService', mesh: 'default', name: 'x' },
    labels: {},
    spec: { tags: { 'kuma.io/service': service }, instances: 1 },
    stamp: { incarnation: 1, originRevision: revision, createdAtMs: 0, modifiedAtMs: 0 },
  })
  await store.commit({ changes: [row(5, 'new')], ...meta })
  await store.commit({ changes: [row(4, 'old')], ...meta })
  const names = (await store.scan({ kind: 'VirtualAddress' })).map((address) => address.key.name)
  expect(names).toEqual(['new'])
})

test('Z11 a row that was forgotten is accepted again with the stamp that it had, or an older one', async () => {
  const { store } = await open()
  const key = { origin: 'global', kind: 'Timeout', mesh: 'default', name: 't' }
  const received = (originRevision: number): Change => {
    const stamp = { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 }
    return { op: 'put', key, labels: {}, spec: {}, stamp }
  }
  for (const originRevision of [9, 9, 7]) {
    await store.commit({ changes: [received(originRevision)], ...meta })
    expect((await store.get(key))?.state).toBe('live')
    await store.commit({ changes: [{ op: 'forget', key }], ...meta })
  }
})

test('Z12 announcements and addresses match the Dataplanes after concurrent commits, commits in sequence, and restarts', async () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    services: fc.array(fc.constantFrom('s1', 's2', 's3'), { maxLength: 2 }),
    gone: fc.boolean(),
    restart: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      let { raw, store } = await open()
      const expected = new Map<string, readonly string[]>()
      const pending: Promise<unknown>[] = []
      for (const { name, services, gone, restart } of steps) {
        pending.push(store.commit({ changes: [gone ? remove(name) : put(name, services)], ...meta }))
        if (gone) expected.delete(name)
        else expected.set(name, services)
        if (restart) {
          await Promise.all(pending.splice(0))
          ;({ raw, store } = await open(raw))
        }
      }
      await Promise.all(pending)
      const counts = new Map<string, number>()
      for (const service of [...expected.values()].flat()) counts.set(service, (counts.get(service) ?? 0) + 1)
      const rows = await store.scan({ kind: 'AvailableService' })
      expect(
        new Map(
          rows.map((row) => [JSON.parse(JSON.stringify(row.spec['tags']))['kuma.io/service'], row.spec['instances']]),
        ),
      ).toEqual(counts)
      const addresses = await store.scan({ kind: 'VirtualAddress' })
      const live = addresses.filter((row) => row.spec['releasedAtMs'] === undefined)
      expect(new Set(live.map((row) => row.key.name))).toEqual(new Set(counts.keys()))
      expect(new Set(addresses.map((row) => row.spec['number'])).size).toBe(addresses.length)
    }),
    { numRuns: 100 },
  )
})
