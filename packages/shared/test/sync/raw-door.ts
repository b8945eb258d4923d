import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import { type Bookmark, type Hello, type Message, noCounters } from '../../src/sync/log/messages.ts'
import { type SyncServerDeps, type SyncServerOptions, startSyncServer } from '../../src/sync/server.ts'
import type { ChannelEnd, OnCall } from '../../src/transport/transport.ts'
import { rules } from './mesh.ts'

export const helloOf = (zone: string, changes: Partial<Hello> = {}): Hello => ({
  ...{ protocol: { min: 1, max: 1, features: [] }, storeId: `store-of-${zone}`, incarnation: 1, host: `${zone}-host` },
  ...{ startedAtMs: 10, version: 'test', position: undefined, creditBytes: 1_000_000, replica: 'm', uncovered: [] },
  ...changes,
})

/** The position at this revision in the log of a zone. */
export const ofZone = (zone: string, revision: number) => ({
  ...{ store: `store-of-${zone}`, revision, commitId: `c${revision}` },
})

/** A global in virtual time whose zones are the test. A token is the name of its zone. */
export async function createGlobal(
  overrides: Partial<SyncServerDeps> = {},
  options: Partial<SyncServerOptions> = {},
  clock = createVirtualClock(1_000),
) {
  const store = overrides.store ?? createMemoryStore({ clock, random: createSeededRandom(1) })
  let onCall: OnCall = () => {}
  let isClosed = false
  const server = await startSyncServer(
    {
      ...{ clock, log: silentLog, rules, store },
      authenticate: async (token) => ({ ok: true, value: { zone: token } }),
      ...overrides,
    },
    {
      listen: [
        async (next) => {
          onCall = next
          return {
            port: 7,
            close: async () => {
              isClosed = true
            },
          }
        },
      ],
      version: 'test',
      hostname: 'global-host',
      ...options,
    },
  )
  const settle = async () => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }

  /** A call with this token. `refused` is the reason if the call was not accepted. */
  async function call(token: string | undefined) {
    const ended = Promise.withResolvers<ChannelEnd>()
    const sent: Message[] = []
    let listener: ((bytes: Uint8Array) => void) | undefined
    let refused: string | undefined
    let isOver = false
    const channel = {
      send(bytes: Uint8Array) {
        const message = decodeMessage(bytes)
        if (message) sent.push(message)
        return true
      },
      drained: async () => {},
      onMessage(next: ((bytes: Uint8Array) => void) | undefined) {
        listener = next
      },
      ended: ended.promise,
      end() {
        isOver = true
        ended.resolve({ refused: false, reason: 'the global ended it' })
      },
      cut: (reason: string) => ended.resolve({ refused: false, reason }),
    }
    onCall(
      { address: 'there', token },
      () => channel,
      (reason) => {
        refused = reason
      },
    )
    await settle()
    return {
      sent,
      refused: () => refused,
      isOver: () => isOver,
      goodbye: () => sent.find((message) => message.type === 'goodbye')?.goodbye,
      welcome: () => sent.find((message) => message.type === 'welcome')?.welcome,
      replacements: () =>
        sent.flatMap((message) => (message.type === 'replace' ? [`${message.reason} ${message.origins}`] : [])),
      lose: async (reason: string) => {
        channel.cut(reason)
        await settle()
      },
      async receive(...messages: Message[]) {
        for (const message of messages) listener?.(encodeMessage(message))
        await settle()
      },
    }
  }

  return {
    ...{ clock, store, server, settle, call },
    isClosed: () => isClosed,
    /** Calls as a zone and sends its hello. */
    async connect(zone: string, changes: Partial<Hello> = {}) {
      const one = await call(zone)
      await one.receive({ type: 'hello', hello: helloOf(zone, changes) })
      return one
    },
    async advance(byMs: number) {
      clock.advance(byMs)
      await settle()
    },
  }
}

export const markOf = (zone: string, revision: number): Message => ({ type: 'mark', position: ofZone(zone, revision) })
export const bookmarkOf = (changes: Partial<Bookmark>): Message => ({
  type: 'bookmark',
  bookmark: {
    ...{ sent: 0, mark: 0, stored: 0, served: 0, holds: [], blocked: '', verdicts: [], counters: noCounters },
    ...{ silentProxies: [], wallClockMs: 0, ...changes },
  },
})
