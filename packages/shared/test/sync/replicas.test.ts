import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/base.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import type { ReadReport } from '../../src/sync/reports.ts'
import { createTestAuthority, type TestAuthority } from './certificates.ts'
import { createScene, put, until, write } from './mesh.ts'

let authority: TestAuthority
let scene: ReturnType<typeof createScene>

beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(() => {
  scene = createScene(authority)
})
afterEach(() => scene.close())

/** Two processes of one global, and a zone with a session at the first one. */
async function twoGlobals() {
  const store = createMemoryStore(scene.deps)
  const one = await scene.server(store, { replica: 'one' })
  const other = await scene.server(store, { replica: 'other' })
  const report = createLatest<ReadReport>(() => ({ a: { state: 'online' } }))
  const zone = createMemoryStore(scene.deps)
  const uplink = scene.uplink(zone, 'east', one.port, { report })
  const statuses = () => [one, other].map((server) => server.zones().get('east'))
  return { store, one, other, report, uplink, statuses }
}

describe('replicas of a global', () => {
  it('Y22 each replica shows the report of a zone about its proxies, and each change of it', async () => {
    const { store, one, other, report, statuses } = await twoGlobals()
    const shows = (expected: JsonObject) =>
      until(store, () => JSON.stringify(statuses()[1]?.report) === JSON.stringify(expected), other)
    await shows({ a: { state: 'online' } })
    report.set(() => ({ a: { state: 'silent' }, b: { state: 'online' } }))
    await shows({ a: { state: 'silent' }, b: { state: 'online' } })
    expect(one.zones().get('east')?.report).toEqual(other.zones().get('east')?.report)
  })

  it('Y22 a receipt is complete on each replica', async () => {
    const { store, one, other, statuses } = await twoGlobals()
    await until(store, () => statuses().every((status) => status?.connected), other)
    for (const name of ['a', 'b', 'c']) {
      const { revision } = await write(store, put('global', 'Policy', name))
      const wait = { revision, level: 'stored', zones: ['east'], timeoutMs: 5_000 } as const
      const signal = new AbortController().signal
      const receipts = await Promise.all([one, other].map((server) => server.waitFor(wait, signal)))
      expect(receipts.flat()).toMatchObject([{ state: 'done' }, { state: 'done' }])
    }
  })

  it('Y22 a session that ends is shown on each replica, with the reason of the replica that had it', async () => {
    const { store, one, other, uplink, statuses } = await twoGlobals()
    await until(store, () => statuses().every((status) => status?.connected), other)
    await uplink[Symbol.asyncDispose]()
    await until(store, () => statuses().every((status) => status?.connected === false), other)
    const [first, second] = [one, other].map((server) => server.zones().get('east'))
    expect(second?.lastEnd).toBe('the control plane of the zone has stopped')
    expect(second).toMatchObject({ epoch: first?.epoch, lastEndCode: first?.lastEndCode, sinceMs: first?.sinceMs })
  })

  it('Y22 a replica that stops removes its notes', async () => {
    const { store, one, other, statuses } = await twoGlobals()
    await until(store, () => statuses().every((status) => status?.connected), other)
    expect([...(await store.notes.read('replica')).keys()]).toEqual(
      expect.arrayContaining(['replica-report/one/east', 'replica/one', 'replica/other']),
    )
    await one[Symbol.asyncDispose]()
    expect([...(await store.notes.read('replica')).keys()]).toEqual(['replica/other'])
  })
})
