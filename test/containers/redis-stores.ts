import { openStore } from '@zonemesh/plane/lifecycle.ts'
import { createMetrics, type Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { expect } from 'vitest'
import { keyOf, put } from '../contract/store-samples.ts'
import { nextMark } from '../contract/wake-ups.ts'
import { startNetwork } from './container.ts'
import { untilPhase } from './redis-links.ts'
import { startPostgres } from './rig.ts'

/** Two processes of one store in PostgreSQL, which Redis wakes as well. */
export async function commitsOfTwoStores(parts: AsyncDisposableStack, redisUrl: string) {
  const postgres = parts.use(await startPostgres({ network: parts.use(await startNetwork()) }))
  const links: RedisLink[] = []
  const metrics: Metrics[] = []
  async function open(instance: string): Promise<Store> {
    const own = createMetrics('global')
    const env = { clock: systemClock, random: systemRandom, log: silentLog, metrics: own }
    const config = { store: postgres.url('redis'), redis: redisUrl, historyRevisions: 10_000 }
    const { store, redis } = await openStore(env, config, { owner: 'the global', instance })
    if (!redis) throw new Error('the settings name a Redis')
    parts.use(redis)
    parts.defer(() => store.close())
    links.push(redis)
    metrics.push(own)
    return store
  }
  const [one, two] = [await open('one'), await open('two')]
  for (const link of links) await untilPhase(link, 'connected')
  let turn = 0
  /** Commits of one process, each of which the other reads as soon as it is woken. */
  async function cross(times: number): Promise<void> {
    for (let count = 0; count < times; count += 1) {
      turn += 1
      const woken = nextMark(two)
      await one.commit({ changes: [put('row', turn)], subject: 's', intent: 'i' })
      await woken
      expect((await two.get(keyOf('row')))?.row?.spec).toEqual({ value: turn })
    }
  }
  return {
    storeId: one.id,
    cross,
    /** What the metrics of each process show of Redis. */
    figures: () => Promise.all(metrics.map(async (one) => (await one.text()).match(/^zonemesh_redis_.*$/gm) ?? [])),
    /** Commits while Redis does not answer, until it answers both processes again, and some more. */
    async crossUntilConnected(): Promise<void> {
      for (const link of links) await untilPhase(link, 'away')
      await cross(5)
      while (links.some((link) => link.state().phase === 'away')) await cross(1)
      await cross(5)
    },
    /** Every commit is in the store, once, and both processes agree on it. */
    async expectAll(): Promise<void> {
      expect(await one.history(keyOf('row'))).toHaveLength(turn)
      expect([(await one.head()).revision, (await two.head()).revision]).toEqual([turn, turn])
    },
  }
}
