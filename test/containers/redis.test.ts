import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../e2e/rig.ts'
import { startNetwork } from './container.ts'
import { expectPeers, openLink, openTwo, untilPhase, untilWakeUpsPass } from './redis-links.ts'
import { startRedis } from './redis-rig.ts'
import { commitsOfTwoStores } from './redis-stores.ts'

type Redis = Awaited<ReturnType<typeof startRedis>>

let parts: AsyncDisposableStack
beforeEach(() => {
  parts = new AsyncDisposableStack()
})
afterEach(() => parts.disposeAsync())

async function start(): Promise<Redis> {
  return parts.use(await startRedis(parts.use(await startNetwork())))
}

const startTwo = (redis: Redis) => openTwo(parts, redis.url)

test('RS2 a wake-up reaches the other processes of the store, with its topic, and neither its sender nor another store', async () => {
  const redis = await start()
  const { one, two } = await startTwo(redis)
  const foreign = openLink(parts, redis.url, { instance: 'three', store: 'store-2' })
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
  ['killed', (redis: Redis) => redis.kill(), (redis: Redis) => redis.start()],
  ['paused', (redis: Redis) => redis.pause(), (redis: Redis) => redis.unpause()],
  ['disconnected', (redis: Redis) => redis.disconnect(), (redis: Redis) => redis.connect()],
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

test('RS3 Redis becomes a replica, and its address leads to the new primary: the link follows it', async () => {
  const network = parts.use(await startNetwork())
  const [former, next] = [parts.use(await startRedis(network)), parts.use(await startRedis(network))]
  const { one, two } = await startTwo(former)
  await expectPeers(one, two, ['a'])
  const { host, port } = await next.place()
  await former.run('redis-cli', 'replicaof', host, `${port}`)
  former.relay.pointTo(next.place)
  await Promise.all([untilPhase(one, 'away'), untilPhase(two, 'away')])
  await Promise.all([untilPhase(one, 'connected'), untilPhase(two, 'connected')])
  await expectPeers(one, two, ['a', 'b'])
  expect(Number(await next.run('redis-cli', 'scard', 'zonemesh:{store-1}:peers:one'))).toBe(2)
  await untilWakeUpsPass(one, two)
})

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
  const redis = await start()
  const stores = await commitsOfTwoStores(parts, redis.url)
  await stores.cross(1)
  const channel = `zonemesh:{${stores.storeId}}:wake`
  for (const harm of [
    () => redis.run('redis-cli', 'flushall'),
    () => redis.run('redis-cli', 'publish', channel, 'mark 99999999'),
    () => redis.pause(),
    () => redis.unpause(),
    () => redis.kill(),
    () => redis.start(),
  ]) {
    await harm()
    await stores.cross(5)
  }
  await stores.expectAll()
}, 60_000)
