import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import type { SessionEnd } from '../../src/sync/lifetime.ts'
import { decodeFrame, encodeMessage } from '../../src/sync/log/frames.ts'
import type { Message } from '../../src/sync/log/messages.ts'
import { sightOfZone } from '../../src/sync/log/who-sees.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { type SessionOptions, startSession } from '../../src/sync/session.ts'
import type { Channel, ChannelEnd } from '../../src/transport/transport.ts'
import { rules } from './mesh.ts'

/** The position at this revision in the log of zone west, the peer of the session. */
export const ofWest = (revision: number) => ({ store: 'store-of-west', revision, commitId: `c${revision}` })

/** A session of the global whose peer, zone west, is the test. */
export async function openSession(
  overrides: Partial<SessionOptions> = {},
  wrap: (store: Store) => Store = (store) => store,
) {
  const clock = createVirtualClock()
  const store = wrap(createMemoryStore({ clock, random: createSeededRandom(1) }))
  const ended = Promise.withResolvers<ChannelEnd>()
  const sent: Message[] = []
  const numbers: number[] = []
  /** What the session reported to its plane, in order. */
  const events: string[] = []
  let listener: ((bytes: Uint8Array) => void) | undefined
  const channel: Channel = {
    send(bytes) {
      const { message, number } = decodeFrame(bytes)
      if (message) sent.push(message)
      numbers.push(number)
      return true
    },
    drained: async () => {},
    onMessage(next) {
      listener = next
    },
    ended: ended.promise,
    end: () => void events.push('channel ended'),
    cut: (reason) => ended.resolve({ refused: false, reason }),
  }
  let over: SessionEnd | undefined
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
      onRelease: (hold) => void events.push(`release ${hold}`),
      originsAt: async () => ['global'],
      changesSince: store.changesSince,
      derive: async () => [],
      served: () => nothingServed,
      onApplied: ({ position, localMark, written }) =>
        void events.push(`applied ${position.revision} at ${localMark.revision}: ${written.length}`),
      onMark: ({ revision }) => void events.push(`mark ${revision}`),
      onBookmark: ({ stored }) => void events.push(`bookmark ${stored}`),
      onReport: ({ removed }) => void events.push(`report ${removed}`),
      onHold: (hold) => void events.push(`hold ${hold?.id}`),
      queries: { handlers: {} },
      onBlocked: (reason) => void events.push(`blocked ${reason}`),
      ...overrides,
    },
  )
  void session.done.then((end) => {
    over = end
  })
  const settle = async () => {
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
  }
  await settle()
  return {
    ...{ clock, store, session, sent, numbers, events, settle },
    over: () => over,
    async receive(message: Message, number = 0) {
      listener?.(encodeMessage(message, number))
      await settle()
    },
    receiveBytes: (bytes: Uint8Array) => listener?.(bytes),
    lose: (reason: string) => channel.cut(reason),
    sentOf: <T extends Message['type']>(type: T) =>
      // The filter keeps only messages of this type.
      sent.filter((message) => message.type === type) as Extract<Message, { type: T }>[],
  }
}
