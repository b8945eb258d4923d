import { afterEach, beforeEach, expect, test } from 'vitest'
import { startNetwork } from './container.ts'
import { expectPeers, expectWakeUps, openTwo, untilPhase, untilWakeUpsPass } from './redis-links.ts'
import { type RedisCluster, startRedisCluster } from './redis-rig.ts'
import { commitsOfTwoStores } from './redis-stores.ts'

let parts: AsyncDisposableStack
let redis: RedisCluster
beforeEach(async () => {
  parts = new AsyncDisposableStack()
  redis = parts.use(await startRedisCluster(parts.use(await startNetwork())))
})
afterEach(() => parts.disposeAsync())

const peersKey = 'zonemesh:{store-1}:peers:one'

test('RS8 two processes use a cluster: wake-ups and peers pass between them, whichever nodes they are connected to', async () => {
  const { one, two } = await openTwo(parts, redis.url)
  for (let times = 0; times < 10; times += 1) await expectWakeUps(one, two)
  await expectPeers(one, two, ['a', 'b'])
  expect(Number(await (await redis.primaryOf(peersKey)).run('redis-cli', 'scard', peersKey))).toBe(2)
})

test.each(['killed', 'paused'] as const)(
  'RS8 the node with the keys of the store is %s: its replica takes over, and wake-ups and peers pass again without a restart',
  async (how) => {
    const { one, two } = await openTwo(parts, redis.url)
    await expectPeers(one, two, ['a', 'b'])
    const node = await redis.primaryOf(peersKey)
    await (how === 'killed' ? node.kill() : node.pause())
    await Promise.all([untilPhase(one, 'away'), untilPhase(two, 'away')])
    await Promise.all([untilPhase(one, 'connected', 30_000), untilPhase(two, 'connected', 30_000)])
    await untilWakeUpsPass(one, two, 30_000)
    await expectPeers(one, two, ['a', 'b'])
    await expectPeers(one, two, ['b', 'c'])
    await (how === 'killed' ? node.start() : node.unpause())
    await untilWakeUpsPass(one, two, 30_000)
    await expectPeers(one, two, ['d'])
  },
)

test('RS8 two processes of a store see all commits of each other while nodes of the cluster are killed and return', async () => {
  const stores = await commitsOfTwoStores(parts, redis.url)
  await stores.cross(5)
  const node = await redis.primaryOf(`zonemesh:{${stores.storeId}}:peers:one`)
  await node.kill()
  await stores.crossUntilConnected()
  await node.start()
  await stores.cross(5)
  // Without a majority, the cluster answers no command with a key.
  for (const one of redis.nodes.slice(0, 5)) await one.kill()
  await stores.cross(20)
  await stores.expectAll()
})
