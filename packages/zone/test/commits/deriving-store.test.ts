import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore, type MemoryContents } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openDerivingStore } from '../../src/commits/deriving-store.ts'

const zone = 'west'
const meta = { subject: 'test', intent: 'test' }

/** Opens the store as a zone does; `contents` are those of a store that another process has open, or had. */
async function open(contents?: MemoryContents) {
  const deps = { clock: createVirtualClock(1_000_000), random: createSeededRandom(1) }
  const { clock } = deps
  const kept = contents ?? createMemoryContents(deps)
  const store = createMemoryStore(deps, { contents: kept })
  const derivations = [createAnnouncements({ zone }), createAddressBook({ zone })]
  return { contents: kept, store: await openDerivingStore({ clock, log: silentLog }, store, derivations) }
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

/** The announcements and addresses that the store holds, against the services that each Dataplane names. */
async function expectDerived(store: Store, expected: ReadonlyMap<string, readonly string[]>): Promise<void> {
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
  const numbers = (await store.scan({ kind: 'VirtualAddressNumber' })).map(
    ({ key, spec }) => [spec['service'], Number(key.name)] as const,
  )
  expect(new Map<unknown, unknown>(addresses.map(({ key, spec }) => [key.name, spec['number']]))).toEqual(
    new Map<unknown, unknown>(numbers),
  )
}

const serviceLists = fc.array(fc.constantFrom('s1', 's2', 's3'), { maxLength: 2 })

test('ZR3 two processes of a zone write at once, and announcements and addresses match the Dataplanes', async () => {
  const step = fc.record({
    process: fc.nat(1),
    name: fc.constantFrom('a', 'b', 'c'),
    services: serviceLists,
    gone: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 8 }), async (turns) => {
      const first = await open()
      const stores = [first.store, (await open(first.contents)).store]
      const expected = new Map<string, readonly string[]>()
      for (const turn of turns) {
        // In one turn each process writes rows of its own, so the outcome does not depend on their order.
        const changes = turn.map(({ process, name, services, gone }) => ({
          process,
          name: `${name}${process}`,
          services,
          gone,
        }))
        await Promise.all(
          changes.map(({ process, name, services, gone }) =>
            stores[process]?.commit({ changes: [gone ? remove(name) : put(name, services)], ...meta }),
          ),
        )
        for (const { name, services, gone } of changes) {
          if (gone) expected.delete(name)
          else expected.set(name, services)
        }
        await expectDerived(first.store, expected)
      }
    }),
    { numRuns: 200 },
  )
})

test('Z12 announcements and addresses match the Dataplanes after concurrent commits, commits in sequence, and restarts', async () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    services: serviceLists,
    gone: fc.boolean(),
    restart: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      let { contents, store } = await open()
      const expected = new Map<string, readonly string[]>()
      const pending: Promise<unknown>[] = []
      for (const { name, services, gone, restart } of steps) {
        pending.push(store.commit({ changes: [gone ? remove(name) : put(name, services)], ...meta }))
        if (gone) expected.delete(name)
        else expected.set(name, services)
        if (restart) {
          await Promise.all(pending.splice(0))
          ;({ contents, store } = await open(contents))
        }
      }
      await Promise.all(pending)
      await expectDerived(store, expected)
    }),
    { numRuns: 100 },
  )
})
