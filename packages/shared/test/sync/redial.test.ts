import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { startUplink } from '../../src/sync/uplink.ts'
import type { Channel, ChannelEnd, Dialer } from '../../src/transport/transport.ts'
import { rules } from './mesh.ts'

/** A global that answers each hello with a welcome, or that is unreachable. */
function createGlobal(clock: { monotonicMs(): number }, protocol = 1) {
  const dialledAtMs: number[] = []
  let up = true
  const dialer: Dialer = {
    async dial() {
      dialledAtMs.push(clock.monotonicMs())
      if (!up) return { ok: false, error: { refused: false, reason: 'unreachable' } }
      return { ok: true, value: welcoming() }
    },
    forget() {},
  }

  function welcoming(): Channel & Disposable {
    const ended = Promise.withResolvers<ChannelEnd>()
    let listener: ((bytes: Uint8Array) => void) | undefined
    const early: Uint8Array[] = []
    const welcome = {
      ...{ protocol, features: [], storeId: 'store-of-global', version: 'test', host: 'global-host' },
      ...{ zone: 'west', epoch: dialledAtMs.length, position: undefined, formerIncarnation: 0, creditBytes: 1_000_000 },
      standing: 'new' as const,
    }
    return {
      send(bytes) {
        if (decodeMessage(bytes)?.type !== 'hello') return true
        const answer = encodeMessage({ type: 'welcome', welcome })
        if (listener) listener(answer)
        else early.push(answer)
        return true
      },
      drained: async () => {},
      onMessage(next) {
        listener = next
        const first = next && early.shift()
        if (first) next(first)
      },
      ended: ended.promise,
      end: () => ended.resolve({ refused: false, reason: 'ended here' }),
      cut: (reason) => ended.resolve({ refused: false, reason }),
      [Symbol.dispose]() {},
    }
  }

  return {
    dialer,
    dialledAtMs,
    setUp(next: boolean) {
      up = next
    },
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

test('F28 after fifty short sessions in a row the next attempt still follows within half a second', async () => {
  const clock = createVirtualClock()
  const random = createSeededRandom(28)
  const store = createMemoryStore({ clock, random })
  const global = createGlobal(clock)
  const uplink = startUplink(
    { store, clock, random, log: silentLog, rules, served: createLatest(nothingServed) },
    { dialer: ending(global.dialer), zone: 'west', version: 'test', hostname: 'west-host' },
  )
  const runUntil = async (tries: number) => {
    for (let step = 0; step < 2_000 && global.dialledAtMs.length < tries; step += 1) {
      await settle()
      clock.advance(50)
    }
  }
  await runUntil(51)
  const waits = global.dialledAtMs.slice(1).map((atMs, index) => atMs - (global.dialledAtMs[index] ?? 0))
  expect(waits.length).toBe(50)
  expect(Math.max(...waits)).toBeLessThanOrEqual(600)
  // For comparison: retries of an unreachable address slow down to 5 s, and are fast again after one session.
  global.setUp(false)
  await runUntil(71)
  const last = global.dialledAtMs.slice(-5)
  expect(Math.max(...last.slice(1).map((atMs, index) => atMs - (last[index] ?? 0)))).toBeGreaterThan(600)
  global.setUp(true)
  const before = global.dialledAtMs.length
  await runUntil(before + 10)
  const after = global.dialledAtMs.slice(before)
  expect(Math.max(...after.slice(1).map((atMs, index) => atMs - (after[index] ?? 0)))).toBeLessThanOrEqual(600)
  const stopping = uplink[Symbol.asyncDispose]()
  await settle()
  clock.advance(10_000)
  await stopping
})

/** The peer ends each session in the turn after its welcome arrived. */
function ending(dialer: Dialer): Dialer {
  return {
    forget: () => dialer.forget(),
    async dial(signal) {
      const dialled = await dialer.dial(signal)
      if (!dialled.ok) return dialled
      const channel = dialled.value
      let listeners = 0
      return {
        ok: true,
        value: {
          ...channel,
          onMessage(listener) {
            channel.onMessage(listener)
            if (listener) listeners += 1
            // The second listener belongs to the session, so the session has begun.
            if (listeners === 2) channel.cut('the global ended it')
          },
        },
      }
    },
  }
}

test('Y23 a welcome with a version that the zone did not offer is refused', async () => {
  const clock = createVirtualClock()
  const random = createSeededRandom(23)
  const store = createMemoryStore({ clock, random })
  const uplink = startUplink(
    { store, clock, random, log: silentLog, rules, served: createLatest(nothingServed) },
    { dialer: createGlobal(clock, 7).dialer, zone: 'west', version: 'test', hostname: 'west-host' },
  )
  await settle()
  expect(uplink.state.value).toMatchObject({
    phase: 'refused',
    reason: 'expected sync protocol 1 in the welcome, found 7',
  })
  const stopped = uplink[Symbol.asyncDispose]()
  await settle()
  await stopped
})
