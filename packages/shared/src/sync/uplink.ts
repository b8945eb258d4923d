import { type JsonObject, messageOf } from '../base/base.ts'
import { type Clock, delay } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import { createLatest, type Latest } from '../streams/latest.ts'
import type { Channel, Dialer } from '../transport/transport.ts'
import { firstMessage } from './handshake.ts'
import { encodeMessage } from './log/frames.ts'
import { type Bookmark, type Goodbye, type Hello, protocolVersion, type Welcome } from './log/messages.ts'
import { positionFrom, positionKey, positionKind } from './log/rounds.ts'
import { type SightRules, sightOfGlobal } from './log/who-sees.ts'
import { sendReports } from './reports.ts'
import { type Applied, creditWindowBytes, type Derive, type ServedStatus, startSession } from './session.ts'

export interface UplinkDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly rules: SightRules
  /** What the proxies of this zone serve; a bookmark goes at once when it changes. */
  readonly served: Latest<ServedStatus>
  /** What the global is to show of this zone's proxies, by key text. Sent as differences, at most once per second. */
  readonly report?: Latest<Readonly<Record<string, JsonObject>>>
  readonly derive?: Derive
  /** A mark of the global is in this store. Also called once per session with the position it starts from. */
  readonly onApplied?: (applied: Applied) => void
}

export interface UplinkOptions {
  readonly dialer: Dialer
  readonly zone: string
  readonly version: string
  readonly hostname: string
  /** The store of a global that an operator has allowed in place of the one that this zone knew. */
  readonly acceptGlobalStore?: string
}

export interface UplinkState {
  /** `refused`: somebody has to do something; it is tried again all the same, but slowly. */
  readonly phase: 'connecting' | 'connected' | 'waiting' | 'refused' | 'stopped'
  readonly reason: string
  /** Wall clock of the last change of phase. */
  readonly sinceMs: number
  readonly globalStoreId: string | undefined
  readonly epoch: number | undefined
  /** The last mark of the global that is in this store. */
  readonly position: Position | undefined
  /** The last own mark sent, and the last one that the global has stored. */
  readonly sent: number
  readonly storedByGlobal: number
}

export interface Uplink extends AsyncDisposable {
  readonly state: Latest<UplinkState>
}

/** How a try went: `refused` waits long, `lost` waits short at first. */
interface Outcome {
  readonly refused: boolean
  readonly reason: string
  readonly wasConnected: boolean
}

/** A restart of the global is over in a moment: the first tries follow fast, later ones ever slower, all at random times. */
const quickTries = 5
const waitMinMs = 50
const quickMaxMs = 500
const slowMinMs = 1_000
const slowMaxMs = 5_000

function backOffMs(fraction: number, failures: number, refused: boolean): number {
  const doublings = Math.max(0, failures - quickTries)
  const maxMs = refused ? slowMaxMs : Math.min(slowMaxMs, quickMaxMs * 2 ** doublings)
  const minMs = refused ? slowMinMs : waitMinMs
  return minMs + fraction * (maxMs - minMs)
}

/** Keeps one session with the global for as long as it lives. The zone works on its own store whether or not there is one. */
export function startUplink(deps: UplinkDeps, options: UplinkOptions): Uplink {
  const { store, clock, served } = deps
  const log = deps.log.child({ part: 'uplink' })
  const startedAtMs = clock.wallMs()
  const stop = new AbortController()
  /** Further than what the store would tell, when the last rounds had no rows. */
  let position: Position | undefined
  const state = createLatest<UplinkState>({
    phase: 'connecting',
    reason: '',
    sinceMs: startedAtMs,
    globalStoreId: undefined,
    epoch: undefined,
    position: undefined,
    sent: 0,
    storedByGlobal: 0,
  })

  function change(next: Partial<UplinkState>): void {
    const moved = next.phase !== undefined && next.phase !== state.value.phase
    state.set({ ...state.value, ...next, ...(moved ? { sinceMs: clock.wallMs() } : {}) })
  }

  async function attempt(): Promise<Outcome> {
    position ??= positionFrom(await store.get(positionKey(options.zone, globalOrigin)))
    change({ position, globalStoreId: position?.store })
    const dialled = await options.dialer.dial(stop.signal)
    if (!dialled.ok) return { ...dialled.error, wasConnected: false }
    using channel = dialled.value
    channel.send(encodeMessage({ type: 'hello', hello: await hello() }))
    const first = await firstMessage(clock, channel)
    if (typeof first === 'string') {
      const { refused } = await endedBy(channel)
      return { refused, reason: first, wasConnected: false }
    }
    if (first.type === 'goodbye') return refusedBy(first.goodbye, false)
    const refusal =
      first.type === 'welcome' ? wrongGlobal(first.welcome) : `expected welcome as the first frame, found ${first.type}`
    if (first.type !== 'welcome' || refusal !== undefined) {
      const goodbye: Goodbye = { code: 'wrong-global', reason: refusal ?? '' }
      channel.send(encodeMessage({ type: 'goodbye', goodbye }))
      channel.end()
      return { refused: true, reason: goodbye.reason, wasConnected: false }
    }
    return converse(channel, first.welcome)
  }

  async function hello(): Promise<Hello> {
    const own = await store.scan({ origin: options.zone }, { limit: 2 })
    const facts = {
      protocol: protocolVersion,
      storeId: store.id,
      incarnation: store.incarnation,
      startedAtMs,
      position,
    }
    const hasRows = own.some((row) => row.key.kind !== positionKind)
    return { ...facts, host: options.hostname, version: options.version, hasRows, creditBytes: creditWindowBytes }
  }

  function wrongGlobal(welcome: Welcome): string | undefined {
    if (welcome.zone !== options.zone)
      return `expected the token of zone ${options.zone}, found one of zone ${welcome.zone}`
    const known = position?.store
    if (known === undefined || known === welcome.storeId || options.acceptGlobalStore === welcome.storeId)
      return undefined
    return `expected the global whose store is ${known}, found one whose store is ${welcome.storeId}: its rows are not taken until an operator accepts it`
  }

  async function converse(channel: Channel, welcome: Welcome): Promise<Outcome> {
    const session = startSession(
      { store, clock, log },
      {
        channel,
        self: options.zone,
        peer: globalOrigin,
        sight: sightOfGlobal(deps.rules, options.zone),
        peerStore: welcome.storeId,
        position,
        peerPosition: welcome.position,
        creditBytes: welcome.creditBytes,
        refusesDiverged: options.acceptGlobalStore !== welcome.storeId,
        originsAt: async () => [options.zone],
        changesSince: store.changesSince.bind(store),
        derive: deps.derive ?? (async () => []),
        served: () => served.value,
        onApplied(applied) {
          position = applied.position
          change({ position })
          deps.onApplied?.(applied)
        },
        onReport: () => {},
        onBookmark: (bookmark: Bookmark) =>
          change({ storedByGlobal: bookmark.stored, sent: session.sent()?.revision ?? 0 }),
      },
    )
    change({ phase: 'connected', reason: '', globalStoreId: welcome.storeId, epoch: welcome.epoch })
    log.info({ epoch: welcome.epoch, global: welcome.host }, 'connected to the global')
    const watching = new AbortController()
    const announcing = announceServed(watching.signal, () => session.announce())
    const reporting = deps.report && sendReports(clock, deps.report, session, watching.signal)
    const leave = () => session.end('shutdown', 'this zone control plane is stopping')
    stop.signal.addEventListener('abort', leave, { once: true })
    const end = await session.done
    stop.signal.removeEventListener('abort', leave)
    watching.abort()
    await Promise.all([announcing, reporting])
    if (end.goodbye) return refusedBy(end.goodbye, true)
    return { refused: false, reason: end.reason, wasConnected: true }
  }

  async function announceServed(signal: AbortSignal, announce: () => void): Promise<void> {
    for await (const _ of served.watch(signal)) announce()
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stop.signal.aborted) {
      const outcome = await attempt().catch(
        (cause: unknown): Outcome => ({ refused: false, reason: messageOf(cause), wasConnected: false }),
      )
      if (stop.signal.aborted) break
      failures = outcome.wasConnected ? 0 : failures + 1
      if (!outcome.wasConnected) options.dialer.forget()
      const waitMs = backOffMs(deps.random.fraction(), failures, outcome.refused)
      const again = state.value.reason === outcome.reason && !outcome.wasConnected
      change({ phase: outcome.refused ? 'refused' : 'waiting', reason: outcome.reason, epoch: undefined })
      const fields = { failures, waitMs: Math.round(waitMs) }
      if (again) log.debug(fields, 'still no session with the global')
      else
        log.warn(
          fields,
          `${outcome.refused ? 'the global and this zone do not agree' : 'no session with the global'}: ${outcome.reason}`,
        )
      await delay(clock, waitMs, stop.signal).catch(() => {})
    }
    change({ phase: 'stopped', reason: '' })
  }

  const running = run()
  return {
    state,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** Which goodbyes do not go away by trying again soon. */
function refusedBy(goodbye: Goodbye, wasConnected: boolean): Outcome {
  const refused = goodbye.code !== 'shutdown' && goodbye.code !== 'failed' && goodbye.code !== 'fenced'
  return { refused, reason: goodbye.reason, wasConnected: wasConnected && !refused }
}

async function endedBy(channel: Channel): Promise<{ readonly refused: boolean }> {
  channel.cut('no welcome')
  return channel.ended
}
