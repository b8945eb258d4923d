import { afterEach, beforeEach, expect, test } from 'vitest'
import { startNetwork } from './container.ts'
import { expectPeers, expectWakeUps, openTwo, untilPhase, untilWakeUpsPass } from './redis-links.ts'
import { type SentinelledRedis, startSentinelledRedis } from './redis-rig.ts'
import { commitsOfTwoStores } from './redis-stores.ts'

let parts: AsyncDisposableStack
let redis: SentinelledRedis
beforeEach(async () => {
  parts = new AsyncDisposableStack()
  redis = parts.use(await startSentinelledRedis(parts.use(await startNetwork())))
})
afterEach(() => parts.disposeAsync())

test('RS7 two processes find the primary by its sentinels: wake-ups and peers pass between them', async () => {
  const { one, two } = await openTwo(parts, redis.url)
  await expectWakeUps(one, two)
  await expectPeers(one, two, ['a', 'b'])
  const key = 'zonemesh:{store-1}:peers:one'
  expect(Number(await redis.primary.run('redis-cli', 'scard', key))).toBe(2)
})

test.each(['killed', 'paused'] as const)(
  'RS7 the primary is %s: the sentinels promote its replica, and wake-ups and peers pass again without a restart',
  async (how) => {
    const { one, two } = await openTwo(parts, redis.url)
    one.setPeers(['a', 'b'])
    const { host } = await redis.replica.place()
    await (how === 'killed' ? redis.primary.kill() : redis.primary.pause())
    await Promise.all([untilPhase(one, 'away'), untilPhase(two, 'away')])
    await Promise.all([untilPhase(one, 'connected', 30_000), untilPhase(two, 'connected', 30_000)])
    expect(await redis.reported()).toBe(host)
    await untilWakeUpsPass(one, two)
    // The replica may not have had all of them, so each process publishes its peers again.
    await expectPeers(one, two, ['a', 'b'])
    await expectPeers(one, two, ['b', 'c'])
    for (const link of [one, two]) expect(link.counts().reconnects).toBe(1)

    // The former primary returns as a replica of the new one, and nobody uses it.
    await (how === 'killed' ? redis.primary.start() : redis.primary.unpause())
    await redis.primaryFollows()
    await untilWakeUpsPass(one, two)
    await expectPeers(one, two, ['d'])
    expect(Number(await redis.replica.run('redis-cli', 'scard', 'zonemesh:{store-1}:peers:one'))).toBe(1)
  },
)

test('RS7 MT22 two processes of a store see all commits of each other while the primary is killed, its replica promoted, and the former primary returns', async () => {
  const stores = await commitsOfTwoStores(parts, redis.url)
  await stores.cross(5)
  await redis.primary.kill()
  // Before, during and after the promotion.
  await stores.crossUntilConnected()
  await redis.primary.start()
  await stores.cross(5)
  await redis.primaryFollows()
  await stores.cross(5)
  await stores.expectAll()
  const shown = await stores.figures()
  for (const figures of shown) {
    expect(figures).toContain('zonemesh_redis_connected{form="sentinel"} 1')
    expect(figures).toContain('zonemesh_redis_reconnects_total 1')
    expect(figures.join()).toMatch(/errors_total [1-9]/)
  }
  expect(shown.join()).toMatch(/"sent"\} [1-9].*"failed"\} [1-9].*"received"\} [1-9]/)
})
