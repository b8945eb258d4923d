import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { openRedisLink, type RedisLink } from '@zonemesh/shared/redis/link.ts'
import { redisPlaceOf } from '@zonemesh/shared/redis/place.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Topic } from '@zonemesh/shared/store/wakeups.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyOf, put } from '../contract/store-samples.ts'
import { nextMark } from '../contract/wake-ups.ts'
import { until } from '../e2e/rig.ts'
import { type Container, startNetwork } from './container.ts'
import { startPostgres, startRedis } from './rig.ts'

let parts: AsyncDisposableStack
beforeEach(() => {
  parts = new AsyncDisposableStack()
})
afterEach(() => parts.disposeAsync())

/** A link of another process to the Redis of this test. */
function link(redis: Container, instance: string, store = 'store-1'): RedisLink & { readonly woken: Topic[] } {
  const { host, port } = redis.relay
  const place = redisPlaceOf(`redis://${host}:${port}`)
  if (!place.ok) throw new Error(place.error)
  const deps = { clock: systemClock, log: silentLog }
  const opened = parts.use(openRedisLink(deps, { place: place.value, store, instance }))
  const woken: Topic[] = []
  opened.onWake((topic) => void woken.push(topic))
  return Object.assign(opened, { woken })
}

const untilPhase = (one: RedisLink, phase: string) =>
  until(
    `Redis is ${phase}`,
    () => one.state(),
    (state) => state.phase === phase,
    15_000,
  )

async function start(): Promise<Container> {
  return parts.use(await startRedis(parts.use(await startNetwork())))
}

/** Two links that are connected and have read the wake-ups of their start. */
async function startTwo(redis: Container) {
  const [one, two] = [link(redis, 'one'), link(redis, 'two')]
  await Promise.all([untilPhase(one, 'connected'), untilPhase(two, 'connected')])
  await until(
    'both listen',
    () => two.woken.length + one.woken.length,
    (count) => count === 4,
  )
  for (const { woken } of [one, two]) woken.splice(0)
  return { one, two }
}

test('RS2 a wake-up reaches the other processes of the store, with its topic, and neither its sender nor another store', async () => {
  const redis = await start()
  const { one, two } = await startTwo(redis)
  const foreign = link(redis, 'three', 'store-2')
  await untilPhase(foreign, 'connected')
  await until(
    'it listens',
    () => foreign.woken.length,
    (count) => count === 2,
  )
  one.wake('notes')
  one.wake('mark')
  await until(
    'two is woken',
    () => two.woken,
    (woken) => woken.length === 2,
  )
  two.wake('mark')
  await until(
    'one is woken',
    () => one.woken,
    (woken) => woken.length === 1,
  )
  expect([one.woken, two.woken, foreign.woken.slice(2)]).toEqual([['mark'], ['notes', 'mark'], []])
})

test('RS3 messages that are no wake-up are counted and ignored', async () => {
  const redis = await start()
  const { two } = await startTwo(redis)
  const publish = (text: string) => redis.run('redis-cli', 'publish', 'zonemesh:{store-1}:wake', text)
  for (const text of ['', 'rows', '{"mark": 7}', `mark ${'x'.repeat(200)}`]) await publish(text)
  await publish('mark someone')
  await until(
    'the last one arrives',
    () => two.woken,
    (woken) => woken.length === 1,
  )
  expect(two.counts()).toMatchObject({ received: 1, ignored: 4 })
})

test.each([
  ['killed', (redis: Container) => redis.kill(), (redis: Container) => redis.start()],
  ['paused', (redis: Container) => redis.pause(), (redis: Container) => redis.unpause()],
  ['disconnected', (redis: Container) => redis.disconnect(), (redis: Container) => redis.connect()],
] as const)(
  'RS3 Redis is %s: the link reports it, waits for nothing, and wakes its readers when Redis is back',
  async (_how, harm, heal) => {
    const redis = await start()
    const { one, two } = await startTwo(redis)
    one.setPeers(['a', 'b'])
    await until(
      'two sees the peers',
      () => two.peersOf(['one']),
      (peers) => peers.size === 2,
    )
    await harm(redis)
    await Promise.all([untilPhase(one, 'away'), untilPhase(two, 'away')])
    const startMs = performance.now()
    one.wake('mark')
    expect(performance.now() - startMs).toBeLessThan(100)
    expect(one.counts().failed).toBeGreaterThan(0)
    expect(one.state().reason).not.toBe('')
    await heal(redis)
    await Promise.all([untilPhase(one, 'connected'), untilPhase(two, 'connected')])
    await until(
      'two sees the peers again',
      () => two.peersOf(['one']),
      (peers) => peers.size === 2,
    )
    const before = two.woken.length
    one.wake('notes')
    await until(
      'two is woken',
      () => two.woken.slice(before),
      (woken) => woken.includes('notes'),
    )
  },
  60_000,
)

test('RS4 Redis is flushed: each process publishes its peers again, and those of a process that ended expire', async () => {
  const redis = await start()
  const { one, two } = await startTwo(redis)
  one.setPeers(['a', 'b'])
  await until(
    'two sees the peers',
    () => two.peersOf(['one']),
    (peers) => peers.size === 2,
  )
  one.setPeers(['b', 'c'])
  await until(
    'two sees the change',
    () => two.peersOf(['one']),
    (peers) => peers.has('c') && !peers.has('a'),
  )
  await redis.run('redis-cli', 'flushall')
  await until(
    'two sees the peers again',
    () => two.peersOf(['one']),
    (peers) => peers.size === 2,
  )
  const ttl = Number(await redis.run('redis-cli', 'pttl', 'zonemesh:{store-1}:peers:one'))
  expect(ttl).toBeGreaterThan(0)
  expect(ttl).toBeLessThanOrEqual(6_000)
  await one[Symbol.asyncDispose]()
  expect((await two.peersOf(['one'])).size).toBe(0)
})

test('RS5 two processes of a store see all commits of each other while Redis is killed, flushed, paused and sends nonsense', async () => {
  const network = parts.use(await startNetwork())
  const postgres = parts.use(await startPostgres({ network }))
  const redis = parts.use(await startRedis(network))
  const open = async (instance: string): Promise<Store> => {
    const deps = { clock: systemClock, random: systemRandom, log: silentLog }
    const wakeups = (store: string) => link(redis, instance, store)
    const store = await openPostgresStore(deps, { url: postgres.url('redis'), wakeups })
    parts.defer(() => store.close())
    return store
  }
  const [one, two] = [await open('one'), await open('two')]
  let turn = 0
  /** A commit of one process is read by the other as soon as it is woken. */
  async function cross(): Promise<void> {
    turn += 1
    const woken = nextMark(two)
    await one.commit({ changes: [put('row', turn)], subject: 's', intent: 'i' })
    await woken
    expect((await two.get(keyOf('row')))?.row?.spec).toEqual({ value: turn })
  }
  await cross()
  const channel = `zonemesh:{${one.id}}:wake`
  for (const harm of [
    () => redis.run('redis-cli', 'flushall'),
    () => redis.run('redis-cli', 'publish', channel, 'mark 99999999'),
    () => redis.pause(),
    () => redis.unpause(),
    () => redis.kill(),
    () => redis.start(),
  ]) {
    await harm()
    for (let times = 0; times < 5; times += 1) await cross()
  }
  expect((await one.head()).revision).toBe(turn)
}, 60_000)
