import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import type { Message } from '../../src/sync/log/messages.ts'
import { sightOfZone } from '../../src/sync/log/who-sees.ts'
import { nothingServed, startSession } from '../../src/sync/session.ts'
import type { Channel, ChannelEnd } from '../../src/transport/transport.ts'
import { rules } from './mesh.ts'

/** A session of the global whose peer is the test. */
async function openSession() {
  const clock = createVirtualClock()
  const store = createMemoryStore({ clock, random: createSeededRandom(1) })
  const ended = Promise.withResolvers<ChannelEnd>()
  const sent: Message[] = []
  let listener: ((bytes: Uint8Array) => void) | undefined
  const channel: Channel = {
    send(bytes) {
      const message = decodeMessage(bytes)
      if (message) sent.push(message)
      return true
    },
    drained: async () => {},
    onMessage(next) {
      listener = next
    },
    ended: ended.promise,
    end: () => {},
    cut: (reason) => ended.resolve({ refused: false, reason }),
  }
  let over = ''
  const session = startSession(
    { store, clock, log: silentLog },
    {
      channel,
      self: 'global',
      peer: 'west',
      sight: sightOfZone(rules, 'west'),
      peerStore: 'store-of-west',
      position: undefined,
      peerPosition: undefined,
      peerStanding: 'new',
      positionCounts: true,
      creditBytes: 1_000_000,
      holds: false,
      relays: false,
      uncovered: [],
      formerBelow: 0,
      formerStays: () => [],
      guards: [],
      onRelease: () => {},
      originsAt: async () => ['global'],
      changesSince: store.changesSince,
      derive: async () => [],
      served: () => nothingServed,
      onApplied: () => {},
      onBookmark: () => {},
      onReport: () => {},
    },
  )
  void session.done.then(({ reason }) => {
    over = reason
  })
  const settle = async () => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
  }
  await settle()
  return {
    clock,
    store,
    sent,
    settle,
    over: () => over,
    receive: (message: Message) => listener?.(encodeMessage(message)),
    bookmarks: () => sent.filter((message) => message.type === 'bookmark').length,
  }
}

describe('a session in virtual time', () => {
  it('Y5 a session sends a bookmark every 2 s, and ends after 7 s without any frame', async () => {
    const scene = await openSession()
    for (let second = 0; second < 6; second += 1) scene.clock.advance(1_000)
    await scene.settle()
    expect(scene.bookmarks()).toBe(4)
    expect(scene.over()).toBe('')
    for (let second = 0; second < 3; second += 1) scene.clock.advance(1_000)
    await scene.settle()
    expect(scene.over()).toBe('no frame arrived for 8000 ms')
  })

  it('Y5 a session lives as long as it receives frames', async () => {
    const scene = await openSession()
    for (let second = 0; second < 60; second += 1) {
      scene.clock.advance(1_000)
      if (second % 5 === 0) scene.receive({ type: 'credit', bytes: 0 })
    }
    await scene.settle()
    expect(scene.over()).toBe('')
  })

  it('Y16 a session sends its first mark at once, and coalesces later marks without rows into the last one', async () => {
    const scene = await openSession()
    expect(scene.sent.filter(({ type }) => type === 'mark')).toMatchObject([{ position: { revision: 0 } }])
    scene.sent.length = 0
    for (let index = 0; index < 10; index += 1) {
      const key = { origin: 'global', kind: 'Hidden', mesh: '', name: 'a' }
      await scene.store.commit({
        changes: [{ op: 'put', key, labels: {}, spec: { index } }],
        subject: 's',
        intent: 'i',
      })
      await scene.settle()
    }
    expect(scene.sent).toEqual([])
    scene.clock.advance(40)
    expect(scene.sent).toMatchObject([{ type: 'mark', position: { revision: 10 } }])
  })
})
