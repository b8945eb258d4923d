import { createVirtualClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import { decodeMessage, encodeMessage } from '../../src/sync/log/frames.ts'
import type { Message, Welcome } from '../../src/sync/log/messages.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { startUplink, type UplinkDeps, type UplinkOptions } from '../../src/sync/uplink.ts'
import type { Channel, ChannelEnd, DialFailure } from '../../src/transport/transport.ts'
import { rules } from './mesh.ts'

/** One call of zone west at the test. */
export interface Call {
  readonly atMs: number
  readonly sent: Message[]
  receive(message: Message): void
  cut(reason: string, refused?: boolean): void
  /** Why the call ended. */
  over(): string | undefined
}

/** The position at this revision in the log of the global. */
export const ofGlobal = (revision: number, store = 'store-of-global') => ({ store, revision, commitId: `c${revision}` })

/**
 * The uplink of zone west in virtual time, whose global is the test. `answer` makes the first frame of the global, and
 * `failure` makes each attempt to dial fail. `fraction` stands for all random waits.
 */
export function createWest(
  overrides: Partial<UplinkDeps> & { readonly fraction?: number } = {},
  options: Partial<UplinkOptions> = {},
) {
  const { fraction = 0, ...deps } = overrides
  const clock = createVirtualClock(1_000)
  const random = { ...createSeededRandom(7), fraction: () => fraction }
  const store = deps.store ?? createMemoryStore({ clock, random: createSeededRandom(1) })
  const calls: Call[] = []
  const control: { answer: () => Message | undefined; failure: DialFailure | undefined; forgotten: number } = {
    answer: () => welcomeOf({}),
    failure: undefined,
    forgotten: 0,
  }
  const dialledAtMs: number[] = []

  const welcomeOf = (changes: Partial<Welcome>): Message => ({
    type: 'welcome',
    welcome: {
      ...{ protocol: 1, features: [], storeId: 'store-of-global', version: 'test', host: 'global-host' },
      ...{ zone: 'west', epoch: calls.length, position: undefined, formerIncarnation: 0, creditBytes: 1_000_000 },
      standing: 'new',
      ...changes,
    },
  })

  function open(): Channel & Disposable {
    const ended = Promise.withResolvers<ChannelEnd>()
    let listener: ((bytes: Uint8Array) => void) | undefined
    const early: Uint8Array[] = []
    let over: string | undefined
    const call: Call = {
      atMs: clock.monotonicMs(),
      sent: [],
      receive(message) {
        const bytes = encodeMessage(message)
        if (listener) listener(bytes)
        else early.push(bytes)
      },
      cut: (reason, refused = false) => ended.resolve({ refused, reason }),
      over: () => over,
    }
    void ended.promise.then(({ reason }) => {
      over = reason
    })
    calls.push(call)
    return {
      send(bytes) {
        const message = decodeMessage(bytes)
        if (message) call.sent.push(message)
        const answer = message?.type === 'hello' ? control.answer() : undefined
        if (answer) call.receive(answer)
        return true
      },
      drained: async () => {},
      onMessage(next) {
        listener = next
        while (listener) {
          const first = early.shift()
          if (!first) break
          listener(first)
        }
      },
      ended: ended.promise,
      end: () => ended.resolve({ refused: false, reason: 'the zone ended it' }),
      cut: (reason) => ended.resolve({ refused: false, reason }),
      [Symbol.dispose]() {},
    }
  }

  const uplink = startUplink(
    { store, clock, random, log: silentLog, rules, served: createLatest(nothingServed), ...deps },
    {
      dialer: {
        async dial() {
          dialledAtMs.push(clock.monotonicMs())
          return control.failure ? { ok: false, error: control.failure } : { ok: true, value: open() }
        },
        forget() {
          control.forgotten += 1
        },
      },
      zone: 'west',
      version: 'test',
      hostname: 'west-host',
      ...options,
    },
  )
  const settle = async () => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  return {
    ...{ clock, store, uplink, control, calls, dialledAtMs, welcomeOf, settle },
    state: () => uplink.state.value,
    last: () => calls.at(-1),
    async advance(byMs: number) {
      clock.advance(byMs)
      await settle()
    },
    /** The global sends this message in the newest call. */
    async receive(message: Message) {
      calls.at(-1)?.receive(message)
      await settle()
    },
    async stop() {
      const stopping = uplink[Symbol.asyncDispose]()
      await settle()
      clock.advance(60_000)
      await stopping
    },
  }
}
