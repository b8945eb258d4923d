import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { openRedisLink, type RedisLink } from '@zonemesh/shared/redis/link.ts'
import { redisPlaceOf } from '@zonemesh/shared/redis/place.ts'
import type { Topic } from '@zonemesh/shared/store/wakeups.ts'
import { expect } from 'vitest'
import { until } from '../e2e/rig.ts'

export interface TestLink extends RedisLink {
  /** The wake-ups of this link, the oldest first. */
  readonly woken: Topic[]
}

/** A link of another process to the Redis at this URL. It is closed with the parts of the test. */
export function openLink(
  parts: AsyncDisposableStack,
  url: string,
  { instance, store = 'store-1' }: { readonly instance: string; readonly store?: string },
): TestLink {
  const place = redisPlaceOf(url)
  if (!place.ok) throw new Error(place.error)
  const deps = { clock: systemClock, log: silentLog }
  const opened = parts.use(openRedisLink(deps, { place: place.value, store, instance }))
  const woken: Topic[] = []
  opened.onWake((topic) => void woken.push(topic))
  return Object.assign(opened, { woken })
}

export const untilPhase = (one: RedisLink, phase: string, limitMs = 15_000) =>
  until(
    `Redis is ${phase}`,
    () => one.state(),
    (state) => state.phase === phase,
    limitMs,
  )

/** Two links that are connected and have read the wake-ups of their start. */
export async function openTwo(parts: AsyncDisposableStack, url: string) {
  const [one, two] = [openLink(parts, url, { instance: 'one' }), openLink(parts, url, { instance: 'two' })]
  await Promise.all([untilPhase(one, 'connected'), untilPhase(two, 'connected')])
  await until(
    'both listen',
    () => two.woken.length + one.woken.length,
    (count) => count === 4,
  )
  for (const { woken } of [one, two]) woken.splice(0)
  return { one, two }
}

/** Each of two links gets exactly the wake-ups of the other one, each with its topic. */
export async function expectWakeUps(one: TestLink, two: TestLink): Promise<void> {
  for (const { woken } of [one, two]) woken.splice(0)
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
  // PUBLISH commands of one connection of a cluster may take different nodes.
  expect([one.woken, two.woken.toSorted()]).toEqual([['mark'], ['mark', 'notes']])
}

/** Waits until wake-ups of each link reach the other one, whatever was lost before. */
export async function untilWakeUpsPass(one: TestLink, two: TestLink, limitMs = 20_000): Promise<void> {
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const received = to.counts().received
    await until(
      'a wake-up arrives',
      () => {
        from.wake('notes')
        return to.counts().received
      },
      (now) => now > received,
      limitMs,
    )
  }
}

export async function expectPeers(one: TestLink, two: TestLink, peers: readonly string[]): Promise<void> {
  one.setPeers(peers)
  await until(
    'two sees the peers of one',
    () => two.peersOf(['one']),
    (seen) => JSON.stringify([...seen.keys()].sort()) === JSON.stringify([...peers].sort()),
  )
}
