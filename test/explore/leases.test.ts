import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createLeases } from '@zonemesh/zone/leases/leases.ts'
import { expect, it } from 'vitest'

const alone = { term: 0, guards: [] }

const moves = ['open a', 'close a', 'open a again', 'close a again', 'open b', 'close b', 'drain b', 'wait'] as const
type MoveName = (typeof moves)[number]

/** Plays moves on two proxies and checks each step. */
async function play(names: readonly MoveName[]): Promise<string> {
  const clock = createVirtualClock()
  const streams = new Map<string, Set<string>>([
    ['a', new Set()],
    ['b', new Set()],
  ])
  const lostAtMs = new Map<string, number>()
  const removed: string[] = []
  const drained = new Set<string>()
  const leases = createLeases({
    lead: () => alone,
    clock,
    log: silentLog,
    async markLost() {
      throw new Error('two proxies are never many')
    },
    async remove(proxy, why) {
      removed.push(proxy)
      if (why.includes('draining')) return
      if ((streams.get(proxy)?.size ?? 0) > 0) throw new Error(`${proxy} is removed while it has a stream`)
      const lost = lostAtMs.get(proxy)
      if (lost === undefined || clock.monotonicMs() - lost < 30_000) throw new Error(`${proxy} is removed too early`)
    },
  })
  const open = (proxy: string, stream: string) => {
    streams.get(proxy)?.add(stream)
    lostAtMs.delete(proxy)
    leases.opened(proxy, stream)
  }
  const close = (proxy: string, stream: string) => {
    if (!streams.get(proxy)?.delete(stream)) return
    if (streams.get(proxy)?.size === 0) lostAtMs.set(proxy, clock.monotonicMs())
    leases.closed(proxy, stream, true)
  }
  for (const name of names) {
    if (name === 'open a') open('a', '1')
    else if (name === 'close a') close('a', '1')
    else if (name === 'open a again') open('a', '2')
    else if (name === 'close a again') close('a', '2')
    else if (name === 'open b') open('b', '1')
    else if (name === 'close b') close('b', '1')
    else if (name === 'drain b') {
      drained.add('b')
      await leases.draining('b')
    } else {
      clock.advance(31_000)
      await Promise.resolve()
    }
    for (const [proxy, its] of streams) expect(leases.isLive(proxy)).toBe(its.size > 0)
  }
  return `${removed.join()} ${[...streams].map(([, its]) => its.size).join()}`
}

it('Z1 in every order of five events no proxy with a stream is removed, and none before its lease ends', async () => {
  const ends = new Set<string>()
  let walked = 0
  async function visit(names: readonly MoveName[]): Promise<void> {
    walked += 1
    ends.add(await play(names))
    if (names.length === 5) return
    for (const move of moves) await visit([...names, move])
  }
  await visit([])
  console.info(`leases: ${walked} orders, ${ends.size} ends`)
  expect(ends.size).toBeGreaterThan(5)
})
