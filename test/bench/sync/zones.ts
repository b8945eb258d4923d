import { join } from 'node:path'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { type Clock, systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { nothingServed } from '@zonemesh/shared/sync/served-status.ts'
import { startUplink, type Uplink } from '@zonemesh/shared/sync/uplink.ts'
import { isCurrent } from '@zonemesh/shared/sync/uplink-state.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import type { Dialer } from '@zonemesh/shared/transport/transport.ts'
import type { BenchGlobal } from './global.ts'
import { local } from './global.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }

/** What went over a zone's newest channel: the messages of sync, without HTTP/2 and TLS. */
export interface Traffic {
  bytes: number
  frames: number
  dialledAtMs: number
  /** When the wait before the dial was over: later than that it began only because this process was busy with other zones. */
  dueAtMs: number
  /** The peer was reached: its certificate was read, or was known. */
  reachedAtMs: number
  firstFrameAtMs: number
}

const noTraffic = (): Traffic => ({
  bytes: 0,
  frames: 0,
  dialledAtMs: Number.NaN,
  dueAtMs: Number.NaN,
  reachedAtMs: Number.NaN,
  firstFrameAtMs: Number.NaN,
})

/** A zone without proxies: its store and its uplink, in this process. */
export interface BenchZone extends AsyncDisposable {
  readonly name: string
  readonly store: Store
  traffic(): Traffic
  /** Ends the session and begins one in a new uplink, as after a restart; the store stays. */
  again(): Promise<void>
  /** When the zone had this revision of the global, and could say that there was nothing newer. */
  untilCurrent(revision: number): Promise<number>
  /** The time at which the zone had no session any more. */
  untilLost(): Promise<number>
}

const limitMs = 60_000

export async function startBenchZone(
  global: Pick<BenchGlobal, 'pin' | 'syncPort'>,
  options: {
    readonly name: string
    readonly token: string
    /** A store in a file of this folder, or in memory. */
    readonly folder?: string
    readonly port?: number
    /** Called when rows of a kind that is written one by one are in the store. */
    readonly onWritten?: (names: readonly string[], atMs: number) => void
  },
): Promise<BenchZone> {
  const { name, folder } = options
  const store = folder ? await openSqliteStore(env, { path: join(folder, `${name}.db`) }) : createMemoryStore(env)
  let traffic = noTraffic()
  let dueMs = Number.NaN
  const clock: Clock = {
    ...systemClock,
    after(delayMs, task) {
      const atMs = performance.now() + delayMs
      return systemClock.after(delayMs, () => {
        dueMs = atMs
        task()
      })
    },
  }
  const dialer = counted(
    dialGrpc({
      address: `${local}:${options.port ?? global.syncPort}`,
      path: syncPath,
      token: options.token,
      pinSha256Hex: global.pin,
    }),
    (next) => {
      traffic = next
      traffic.dueAtMs = dueMs
    },
  )

  const start = (): Uplink =>
    startUplink(
      {
        ...env,
        clock,
        store,
        rules: sightRules,
        served: createLatest(nothingServed),
        onApplied({ written }) {
          const names = written.filter(({ key }) => key.kind === 'Timeout').map(({ key }) => key.name)
          if (names.length > 0) options.onWritten?.(names, performance.now())
        },
      },
      { dialer, zone: name, version: 'bench', hostname: `${name}-host` },
    )
  let uplink = start()

  async function until(what: string, holds: (state: Uplink['state']['value']) => boolean): Promise<number> {
    const signal = AbortSignal.timeout(limitMs)
    for await (const state of uplink.state.watch(signal)) if (holds(state)) return performance.now()
    throw new Error(`${name}: ${what}: not within ${limitMs} ms; ${JSON.stringify(uplink.state.value)}`)
  }

  return {
    name,
    store,
    traffic: () => traffic,
    async again() {
      await uplink[Symbol.asyncDispose]()
      uplink = start()
    },
    untilCurrent: (revision) =>
      until(
        `current at ${revision}`,
        (state) => isCurrent(state, performance.now()) && (state.position?.revision ?? 0) >= revision,
      ),
    untilLost: () => until('lost', ({ phase }) => phase !== 'connected'),
    async [Symbol.asyncDispose]() {
      await uplink[Symbol.asyncDispose]()
      await store.close()
    },
  }
}

/** The same dialer; what goes over each of its channels is counted. */
function counted(dialer: Dialer, use: (traffic: Traffic) => void): Dialer {
  return {
    forget: () => dialer.forget(),
    async dial(signal) {
      const traffic = { ...noTraffic(), dialledAtMs: performance.now() }
      use(traffic)
      const add = (bytes: number) => {
        traffic.bytes += bytes
        traffic.frames += 1
      }
      const dialled = await dialer.dial(signal)
      if (!dialled.ok) return dialled
      const channel = dialled.value
      traffic.reachedAtMs = performance.now()
      return {
        ok: true,
        value: {
          ...channel,
          send(bytes) {
            add(bytes.length)
            return channel.send(bytes)
          },
          onMessage(listener) {
            channel.onMessage(
              listener &&
                ((bytes) => {
                  add(bytes.length)
                  if (Number.isNaN(traffic.firstFrameAtMs)) traffic.firstFrameAtMs = performance.now()
                  listener(bytes)
                }),
            )
          },
        },
      }
    },
  }
}
