import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCatalogue } from '../src/catalogue/catalogue.ts'
import { compareKeys } from '../src/catalogue/sorted-keys.ts'

const why = { subject: 'test', intent: 'test' }
const memory = (horizonRevisions?: number): Store =>
  createMemoryStore(
    { clock: createVirtualClock(), random: createSeededRandom(1) },
    horizonRevisions === undefined ? {} : { horizonRevisions },
  )
const dataplane = (name: string, mesh = 'default'): ResourceKey => ({ origin: 'east', kind: 'Dataplane', mesh, name })
const stamp = (originRevision: number) => ({ incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 })
const put = (key: ResourceKey, revision: number, spec: object = { networking: { address: '10.0.0.1' } }): Change => ({
  op: 'put',
  key,
  labels: {},
  spec: { ...spec },
  stamp: stamp(revision),
})

async function listed(store: Store, mesh: string | undefined): Promise<string[]> {
  const rows = await store.scan({ kind: 'Dataplane', ...(mesh === undefined ? {} : { mesh }) })
  return rows
    .map(({ key }) => key)
    .sort(compareKeys)
    .map(keyText)
}

test('R40 after any changes the catalogue equals a scan of the store, in the order of lists', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const change = fc.record({ name, mesh: fc.constantFrom('m', 'default', 'z'), isLive: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { maxLength: 8 }), async (commits) => {
      const store = memory()
      const catalogue = createCatalogue(store)
      let revision = 0
      for (const changes of commits) {
        revision += 1
        const unique = new Map(changes.map((one) => [`${one.mesh}/${one.name}`, one]))
        await store.commit({
          ...why,
          changes: [...unique.values()].map(({ name: called, mesh, isLive }) =>
            isLive
              ? put(dataplane(called, mesh), revision)
              : { op: 'delete', key: dataplane(called, mesh), stamp: stamp(revision) },
          ),
        })
        for (const mesh of [undefined, 'm', 'default', 'z']) {
          const keys = await catalogue.list('Dataplane', mesh)
          expect(keys.slice(0, keys.total).map(keyText)).toEqual(await listed(store, mesh))
        }
        for (const called of ['a', 'e'])
          expect((await catalogue.named('Dataplane', 'm', called)).map(keyText)).toEqual(
            (await listed(store, 'm')).filter((text) => text.endsWith(`/${called}`)),
          )
      }
    }),
    { numRuns: 200 },
  )
})

test('R40 a burst above the limit of single updates, and a reader below the horizon, end with the same keys', async () => {
  const store = memory(3)
  const catalogue = createCatalogue(store)
  const names = Array.from({ length: 900 }, (_unused, index) => `p${index}`)
  await store.commit({ ...why, changes: names.map((name) => put(dataplane(name), 1)) })
  expect((await catalogue.list('Dataplane', 'default')).total).toBe(900)
  await store.commit({
    ...why,
    changes: names.slice(0, 700).map((name) => ({ op: 'delete', key: dataplane(name), stamp: stamp(2) })),
  })
  expect((await catalogue.list('Dataplane', 'default')).total).toBe(200)
  // More commits than the store keeps: what happened in between cannot be read any more.
  for (let revision = 3; revision < 30; revision += 1)
    await store.commit({ ...why, changes: [put(dataplane(`late-${revision}`), revision)] })
  const keys = await catalogue.list('Dataplane', undefined)
  expect(keys.slice(0, keys.total).map(keyText)).toEqual(await listed(store, undefined))
})

test('R40 a list, a name and a report read only what has changed since the last read', async () => {
  const store = memory()
  let scans = 0
  let versions = 0
  const counting: Store = {
    ...store,
    scan(...given) {
      scans += 1
      return store.scan(...given)
    },
    async changesSince(...given) {
      const answer = await store.changesSince(...given)
      versions += answer.versions.length
      return answer
    },
  }
  const catalogue = createCatalogue(counting)
  const names = Array.from({ length: 1_000 }, (_unused, index) => `p${index}`)
  await store.commit({ ...why, changes: names.map((name) => put(dataplane(name), 1)) })
  await catalogue.report()
  ;[scans, versions] = [0, 0]
  await Promise.all([catalogue.list('Dataplane', 'default'), catalogue.report(), catalogue.named('Mesh', '', 'm')])
  expect([scans, versions]).toEqual([0, 0])
  await store.commit({ ...why, changes: [put(dataplane('one-more'), 2)] })
  expect((await catalogue.list('Dataplane', 'default')).total).toBe(1_001)
  await catalogue.report()
  expect([scans, versions]).toEqual([0, 1])
})

test('R40 the report lists unserved fields and rows that cannot be parsed until they are repaired, at most 1,000 of each', async () => {
  const store = memory()
  const catalogue = createCatalogue(store)
  const spec = { networking: { address: '10.0.0.1' } }
  await store.commit({
    ...why,
    changes: [
      put(dataplane('bad'), 1, { networking: 5 }),
      put(dataplane('early'), 1, { ...spec, probes: { port: 1 } }),
    ],
  })
  const place = { kind: 'Dataplane', mesh: 'default', origin: 'east' }
  expect(await catalogue.report()).toMatchObject({
    unserved: [{ ...place, name: 'early', warning: 'probes: not served yet' }],
    unservedTotal: 1,
    unparsed: [{ ...place, name: 'bad', reason: expect.stringContaining('networking') }],
    unparsedTotal: 1,
  })
  await store.commit({ ...why, changes: [put(dataplane('bad'), 2, spec), put(dataplane('early'), 2, spec)] })
  expect(await catalogue.report()).toEqual({ unserved: [], unservedTotal: 0, unparsed: [], unparsedTotal: 0 })
  const names = Array.from({ length: 600 }, (_unused, index) => `p${index}`)
  for (const mesh of ['a', 'b'])
    await store.commit({ ...why, changes: names.map((name) => put(dataplane(name, mesh), 3, { networking: 5 })) })
  const report = await catalogue.report()
  expect([report.unparsed.length, report.unparsedTotal]).toEqual([1_000, 1_200])
})
