import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { put } from '../contract/store-samples.ts'
import { until } from '../e2e/rig.ts'
import { startNetwork } from './container.ts'
import { type PostgresContainer, startPostgres } from './rig.ts'
import { mustWrite, policiesOf, startScene, untilCurrent, untilPolicies, write } from './scene.ts'

let parts: AsyncDisposableStack
beforeEach(() => {
  parts = new AsyncDisposableStack()
})
afterEach(() => parts.disposeAsync())

async function start(options: Omit<Parameters<typeof startPostgres>[0], 'network'> = {}): Promise<PostgresContainer> {
  const network = parts.use(await startNetwork())
  return parts.use(await startPostgres({ network, durable: true, ...options }))
}

async function open(server: PostgresContainer): Promise<Store> {
  const deps = { clock: systemClock, random: systemRandom, log: silentLog }
  const store = await openPostgresStore(deps, { url: server.url('faults') })
  parts.defer(() => store.close())
  return store
}

/** Writes one row after the other until it is stopped. An error of the store does not end it. */
function startWriter(store: Store, bytes = 0) {
  const acknowledged: { readonly name: string; readonly revision: number }[] = []
  const errors: unknown[] = []
  let isStopped = false
  let tries = 0
  const running = (async () => {
    while (!isStopped) {
      tries += 1
      const { key, labels } = put(`row-${tries}`, tries)
      const change = { op: 'put', key, labels, spec: { value: tries, ballast: 'x'.repeat(bytes) } } as const
      const outcome = await store.commit({ changes: [change], subject: 's', intent: 'i' }).catch((cause: unknown) => {
        errors.push(cause)
      })
      if (outcome?.ok) acknowledged.push({ name: key.name, revision: outcome.position.revision })
    }
  })()
  return {
    acknowledged,
    errors,
    /** Waits for so many more acknowledged commits. */
    async more(count: number): Promise<void> {
      const goal = acknowledged.length + count
      await until(
        `${count} more commits, after ${acknowledged.length} and ${errors.length} errors`,
        () => acknowledged.length,
        (now) => now >= goal,
        40_000,
      )
    },
    async stop(): Promise<void> {
      isStopped = true
      await running
    },
  }
}

/** Every acknowledged commit is there with its revision, and no revision is missing or given twice. */
async function expectNothingLost(store: Store, acknowledged: ReturnType<typeof startWriter>['acknowledged']) {
  const rows = await store.scan({})
  const revisions = new Map(rows.map(({ key, stamp }) => [key.name, stamp.originRevision]))
  expect(acknowledged.filter(({ name, revision }) => revisions.get(name) !== revision)).toEqual([])
  const { revision: head } = await store.head()
  const records = await store.records({ after: 0, limit: head + 1 })
  expect(records.map(({ position }) => position.revision)).toEqual(Array.from({ length: head }, (_, at) => at + 1))
  // Each commit of the writer has one row.
  expect(rows.length).toBe(head)
}

/** Commits of one process wake the other one, in both directions. A poll, every 30 s, would be in time for one of them. */
async function expectWakeUps(one: Store, other: Store): Promise<void> {
  let woken = 0
  const stores = [one, other, one, other, one, other]
  using _ofOne = one.onMark(() => {
    woken += 1
  })
  using _ofOther = other.onMark(() => {
    woken += 1
  })
  for (const [at, from] of stores.entries()) {
    const before = woken
    const { key, labels } = put(`wake-${at}`, 1)
    await from.commit({ changes: [{ op: 'put', key, labels, spec: {} }], subject: 's', intent: 'i' })
    // The listeners of the process itself are woken as well.
    await until(
      'both processes are woken',
      () => woken - before,
      (count) => count >= 2,
      3_000,
    )
  }
}

interface Fault {
  readonly inject: (server: PostgresContainer) => Promise<void>
  readonly heal: (server: PostgresContainer) => Promise<void>
  /** No connection is ended: only the limit for an answer, 15 s, detects the fault. */
  readonly isSilent: boolean
}
const faults: Readonly<Record<string, Fault>> = {
  'restarts in order': { inject: (server) => server.restart(), heal: async () => undefined, isSilent: false },
  'is killed and started': { inject: (server) => server.crash(), heal: (server) => server.start(), isSilent: false },
  'is cut from the network': {
    inject: (server) => server.disconnect(),
    heal: (server) => server.connect(),
    isSilent: true,
  },
  'is paused': { inject: (server) => server.pause(), heal: (server) => server.unpause(), isSilent: true },
}

test.each(Object.keys(faults))(
  'S17 the server %s: calls fail in time, no acknowledged commit is lost, no revision is missing, and wake-ups arrive again',
  async (name) => {
    const { inject, heal, isSilent } = faults[name] ?? expect.fail(`no fault is called ${name}`)
    const server = await start()
    const [store, other] = [await open(server), await open(server)]
    const writer = startWriter(store)
    await writer.more(20)
    const startMs = performance.now()
    await inject(server)
    // An answer of the server is awaited for 15 s, and the outcome of a commit for at least 10 s more.
    await until(
      'a commit fails',
      () => writer.errors.length,
      (count) => count > 0,
      40_000,
    )
    if (isSilent) expect(performance.now() - startMs).toBeGreaterThan(15_000)
    await heal(server)
    await writer.more(20)
    await writer.stop()
    for (const error of writer.errors) expect(error).toBeInstanceOf(StoreUnavailableError)
    await expectNothingLost(store, writer.acknowledged)
    await expectWakeUps(store, other)
  },
)

test('F42 S17 the disk of the server is full: commits fail, reads are answered, nothing acknowledged is lost, and all continues once there is space', async () => {
  const server = await start({ dataMiB: 96 })
  const [store, other] = [await open(server), await open(server)]
  const writer = startWriter(store, 40_000)
  await writer.more(5)
  const ballast = '/var/lib/postgresql/data/ballast'
  await server.run('sh', '-c', `dd if=/dev/zero of=${ballast} bs=1M 2>&1 || true`)
  await until(
    'a commit fails',
    () => writer.errors.length,
    (count) => count > 2,
    30_000,
  )
  const before = writer.acknowledged.length
  expect((await store.scan({})).length).toBeGreaterThanOrEqual(before)
  await server.run('rm', ballast)
  await writer.more(5)
  await writer.stop()
  for (const error of writer.errors) {
    expect(error).toBeInstanceOf(StoreUnavailableError)
    expect(String(error)).toMatch(/No space left on device/)
  }
  await expectNothingLost(store, writer.acknowledged)
  await expectWakeUps(store, other)
})

test('F16 the database of the global is silent: writes get 503, the zone keeps its rows and its session, and all continues', async () => {
  const server = await start()
  const scene = parts.use(await startScene({ storeUrl: server.url('mesh') }))
  await mustWrite(scene, 'before', 1)
  await untilPolicies(scene.zone, { before: 1 })
  const epoch = await untilCurrent(scene)
  await server.disconnect()
  expect(await write(scene, 'during', 1)).toBe(503)
  expect(await policiesOf(scene.zone)).toEqual({ before: 1 })
  await server.connect()
  await until(
    'the global writes again',
    () => write(scene, 'after', 1),
    (status) => status < 300,
    30_000,
  )
  await until(
    'the zone has the write',
    () => policiesOf(scene.zone),
    ({ before, after }) => before === 1 && after === 1,
    30_000,
  )
  expect(await untilCurrent(scene)).toBe(epoch)
  expect(scene.exits).toEqual([])
})
