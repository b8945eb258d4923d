import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createLeases } from '@zonemesh/zone/leases/leases.ts'
import { expect, test } from 'vitest'
import { replay } from './explore.ts'

const alone = { term: 0, guards: [] }

const options = { leaseMs: 2, lostShareMax: 0.5, lostCountMax: 1 }
const proxies = ['a', 'b', 'c']
const ticksMax = 5
const eventsMax = 6

/** The state of a proxy in the walk. */
interface Known {
  streams: string[]
  /** When its last stream was lost; undefined while it has one, and when it is gone. */
  lostAtMs: number | undefined
  /** Among proxies lost in the same tick, the first one is checked first. */
  lostAs: number
  draining: boolean
  removed: number
}

function openScene() {
  const clock = createVirtualClock()
  const known = new Map<string, Known>(
    proxies.map((proxy) => [proxy, { streams: [], lostAtMs: undefined, lostAs: 0, draining: false, removed: 0 }]),
  )
  const of = (proxy: string): Known => {
    const found = known.get(proxy)
    if (!found) throw new Error(`no proxy ${proxy}`)
    return found
  }
  const suspects = () => [...known.values()].filter(({ lostAtMs }) => lostAtMs !== undefined)
  const live = () => [...known.values()].filter(({ streams }) => streams.length > 0)
  const leases = createLeases(
    {
      lead: () => alone,
      clock,
      log: silentLog,
      async remove(proxy) {
        const one = of(proxy)
        one.removed += 1
        if (one.draining) {
          one.lostAtMs = undefined
          return
        }
        if (one.streams.length > 0) throw new Error(`${proxy} is removed and has a stream`)
        if (one.lostAtMs === undefined) throw new Error(`${proxy} is removed and was not lost`)
        if (clock.monotonicMs() - one.lostAtMs < options.leaseMs)
          throw new Error(`${proxy} is removed within its lease`)
        const lost = suspects().length
        const total = lost + live().length
        if (lost > options.lostCountMax && lost > total * options.lostShareMax)
          throw new Error(`${proxy} is removed while ${lost} of ${total} are lost`)
        one.lostAtMs = undefined
      },
      async markLost(marked) {
        for (const proxy of marked) {
          const { streams, lostAtMs } = of(proxy)
          if (streams.length > 0 || lostAtMs === undefined) throw new Error(`${proxy} is marked and was not lost`)
          if (clock.monotonicMs() - lostAtMs < options.leaseMs) throw new Error(`${proxy} is marked within its lease`)
        }
      },
    },
    options,
  )
  return { clock, known, of, leases, ticks: 0, events: 0, stream: 0 }
}
type Scene = ReturnType<typeof openScene>

function check(scene: Scene): void {
  for (const [proxy, { streams, lostAtMs }] of scene.known) {
    if (scene.leases.isLive(proxy) !== streams.length > 0) throw new Error(`${proxy}: live is not what its streams say`)
    if (scene.leases.isSuspect(proxy) !== (lostAtMs !== undefined))
      throw new Error(`${proxy}: suspect is not what is lost`)
  }
}

function movesOf(scene: Scene) {
  const moves: { readonly name: string; readonly apply: (scene: Scene) => Promise<void> }[] = []
  const add = (name: string, apply: (next: Scene) => void | Promise<void>, isEvent = true) =>
    moves.push({
      name,
      async apply(next) {
        if (isEvent) next.events += 1
        await apply(next)
        // A failed removal is reported in the next turns.
        for (let turn = 0; turn < 4; turn += 1) await Promise.resolve()
        check(next)
      },
    })
  if (scene.ticks < ticksMax)
    add(
      'tick',
      (next) => {
        next.ticks += 1
        next.clock.advance(1)
      },
      false,
    )
  if (scene.events >= eventsMax) return moves
  for (const [proxy, { streams, draining }] of scene.known) {
    if (streams.length < 2 && !draining)
      add(`open ${proxy}`, (next) => {
        const one = next.of(proxy)
        next.stream += 1
        one.streams.push(String(next.stream))
        one.lostAtMs = undefined
        next.leases.opened(proxy, String(next.stream))
      })
    streams.forEach((_stream, index) => {
      add(`close ${proxy}${index}`, (next) => {
        const one = next.of(proxy)
        const [closed = ''] = one.streams.splice(index, 1)
        if (one.streams.length === 0) one.lostAtMs = next.clock.monotonicMs()
        one.lostAs = next.events
        next.leases.closed(proxy, closed, true)
      })
    })
    if (streams.length > 0 && proxy === 'a' && !draining)
      add(`drain ${proxy}`, async (next) => {
        next.of(proxy).draining = true
        await next.leases.draining(proxy)
      })
  }
  return moves
}

/** When a lost one is looked at next follows from when it was lost: leases of those that are kept run again and again. */
const look = ({ known, clock, ticks, events }: Scene) => ({
  ticks,
  events,
  order: [...known]
    .filter(([, { lostAtMs }]) => lostAtMs !== undefined)
    .sort(([, a], [, b]) => a.lostAs - b.lostAs)
    .map(([proxy]) => proxy),
  proxies: [...known].map(([proxy, { streams, lostAtMs, draining, removed }]) => [
    proxy,
    streams.length,
    lostAtMs === undefined ? -1 : clock.monotonicMs() - lostAtMs,
    draining,
    removed,
  ]),
})

test('Z1 Z2 Z3 Z5 Z6 in every order a proxy with a stream stays, a lost proxy is removed after its lease, and many lost at once stay', async () => {
  const { states, ends } = await replay(openScene, movesOf, look, () => {})
  console.info(`leases: ${states} states, ${ends} ends`)
  expect(states).toBeGreaterThan(1_000)
})
