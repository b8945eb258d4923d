import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { backOffMs, type Failure, type Pause, supervise } from '../env/supervise.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import { createLatest, type Latest } from '../streams/latest.ts'
import type { Channel, Dialer } from '../transport/transport.ts'
import type { Applied, Derive } from './applications.ts'
import { creditWindowBytes } from './credit.ts'
import { firstMessage, standingOf } from './handshake.ts'
import { beginIncarnation } from './incarnation.ts'
import { encodeMessage } from './log/frames.ts'
import type { Bookmark, Goodbye, GoodbyeCode, Hello, Hold, ReserveRequest, Welcome } from './log/messages.ts'
import { type Agreement, ownProtocol, type ProtocolOffer } from './log/protocol.ts'
import { positionFrom, positionKey, uncoveredFrom } from './log/rounds.ts'
import { type SightRules, sightOfGlobal } from './log/who-sees.ts'
import { clockAheadMs, confirmedMaxMs, madeAfterMs } from './pulse.ts'
import { type ReadReport, sendReports } from './reports.ts'
import type { ServedStatus } from './served-status.ts'
import { type Session, startSession } from './session.ts'
import { judgeWelcome, storeOfForeign } from './welcome.ts'

export interface UplinkDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly rules: SightRules
  /** What the proxies of this zone serve; each change sends a bookmark soon. */
  readonly served: Latest<ServedStatus>
  /** Numbers that the zone may give to names; each session may grant more. */
  readonly grants?: {
    request(): ReserveRequest
    /** Resolves when the zone has stored the grant. The session exchanges rows only after that. */
    granted(welcome: Pick<Welcome, 'position' | 'reserved' | 'recall'>): Promise<void>
  }
  /**
   * The report on this zone's proxies that the global shows, by key text. Sent as differences, at most once per second.
   */
  readonly report?: Latest<ReadReport>
  readonly derive?: Derive
  /**
   * This store has committed a mark of the global. Also called once per session with the position from which it
   * resumes.
   */
  readonly onApplied?: (applied: Applied) => void
  /** The global's log does not hold this zone's position: its proxies may serve another history. */
  readonly onUnknownPosition?: () => void
  /** The global requests a release. True if the id is of a hold outside of sync and this function has released it. */
  readonly onRelease?: (hold: string) => boolean
}

export interface UplinkOptions {
  readonly dialer: Dialer
  readonly zone: string
  readonly version: string
  readonly hostname: string
  /** The store of another global, which an operator has accepted instead of the known one. */
  readonly acceptGlobalStore?: string
  /** The protocol versions and features of this zone. Default: those of this build. */
  readonly protocol?: ProtocolOffer
}

export interface UplinkState {
  /** `refused`: an operator must act. The zone still dials again, but slowly. */
  readonly phase: 'connecting' | 'connected' | 'waiting' | 'refused' | 'stopped'
  /** The reason of the phase. In phase `connected`: why nothing is stored. */
  readonly reason: string
  /** Wall clock of the last change of phase. */
  readonly sinceMs: number
  readonly globalStoreId: string | undefined
  readonly epoch: number | undefined
  /** The protocol version and features of the newest session. */
  readonly agreement: Agreement | undefined
  /** The last mark of the global that this store has committed. */
  readonly position: Position | undefined
  /** The last own mark sent, and the last one that the global has stored. */
  readonly sent: number
  readonly storedByGlobal: number
  /**
   * The newest mark that the global has reported, and the monotonic time of its last bookmark. Old bookmarks count as
   * none.
   */
  readonly globalMark: number
  readonly bookmarkAtMs: number
  /** The newest bookmark of the global was made after this monotonic time, however long it was on its way. */
  readonly confirmedAtMs: number
  /** How far the wall clock of the global was ahead of ours at its last bookmark; negative: behind. */
  readonly clockAheadMs: number
  /** False while the global's log does not hold the position with which this zone has dialled. */
  readonly positionCounts: boolean
  /** The change that waits for an operator; `release` takes its id. */
  readonly hold: Hold | undefined
}

export interface Uplink extends AsyncDisposable {
  readonly state: Latest<UplinkState>
  /** An operator releases the hold. False if nothing is held, or if the id is of another hold. */
  release(hold?: string): boolean
  /** Starts a new session at once, for example because the dialer has a newer token. */
  redial(reason: string): void
}

/** True only if a bookmark that was made within `confirmedMaxMs` shows that the global has nothing newer. */
export const isCurrent = (state: UplinkState, nowMs: number): boolean =>
  state.phase === 'connected' &&
  state.hold === undefined &&
  state.positionCounts &&
  nowMs - state.confirmedAtMs < confirmedMaxMs &&
  state.position?.store === state.globalStoreId &&
  (state.position?.revision ?? -1) >= state.globalMark

/** How a session, or the attempt to open one, ended. After `refused` the wait is long; otherwise it starts short. */
interface Outcome {
  readonly refused: boolean
  readonly reason: string
  readonly wasConnected: boolean
}

class SessionEnded extends Error {
  readonly outcome: Outcome
  constructor(outcome: Outcome) {
    super(outcome.reason)
    this.outcome = outcome
  }
}

const outcomeOf = (cause: unknown): Outcome =>
  cause instanceof SessionEnded ? cause.outcome : { refused: false, reason: messageOf(cause), wasConnected: false }

/** A global restarts within seconds, so the first retries follow fast and later ones slow down. Each wait is random. */
const backOffWhenLost = { minMs: 50, firstMaxMs: 500, maxMs: 5_000, quickTries: 5 }
const backOffWhenRefused = { minMs: 1_000, firstMaxMs: 5_000, maxMs: 5_000 }

/**
 * Keeps one session with the global open until disposed. The zone works on its own store with and without a session.
 */
export function startUplink(deps: UplinkDeps, options: UplinkOptions): Uplink {
  const { store, clock, served } = deps
  const log = deps.log.child({ part: 'uplink' })
  const startedAtMs = clock.wallMs()
  const replica = deps.random.uuid()
  const stop = new AbortController()
  const protocol = options.protocol ?? ownProtocol
  let session: Session | undefined
  /** The store of another global, once an operator has accepted it. */
  let acceptedStore = options.acceptGlobalStore
  /**
   * This process has begun a new incarnation. It begins only one, even if a session is cut before the global has it.
   */
  let begun = false
  /** `redial` has ended the session, so the next one starts at once. */
  let moving = false
  /** Ends the wait for the next attempt. */
  let hurry: (() => void) | undefined
  /** May be ahead of the position in the store, because rounds without rows move it in memory only. */
  let position: Position | undefined
  const state = createLatest<UplinkState>({
    phase: 'connecting',
    reason: '',
    sinceMs: startedAtMs,
    globalStoreId: undefined,
    epoch: undefined,
    agreement: undefined,
    position: undefined,
    sent: 0,
    storedByGlobal: 0,
    globalMark: 0,
    bookmarkAtMs: Number.NEGATIVE_INFINITY,
    confirmedAtMs: Number.NEGATIVE_INFINITY,
    clockAheadMs: 0,
    positionCounts: false,
    hold: undefined,
  })

  function change(next: Partial<UplinkState>): void {
    const moved = next.phase !== undefined && next.phase !== state.value.phase
    state.set({ ...state.value, ...next, ...(moved ? { sinceMs: clock.wallMs() } : {}) })
  }

  async function attempt(): Promise<Outcome> {
    const known = await store.get(positionKey(options.zone, globalOrigin))
    position ??= positionFrom(known)
    const uncovered = uncoveredFrom(known)
    change({ position, globalStoreId: position?.store })
    const dialled = await options.dialer.dial(stop.signal)
    if (!dialled.ok) return { ...dialled.error, wasConnected: false }
    using channel = dialled.value
    const ownHello = await hello(uncovered)
    const helloAtMs = clock.monotonicMs()
    channel.send(encodeMessage({ type: 'hello', hello: ownHello }))
    const first = await firstMessage(clock, channel)
    if (typeof first === 'string') {
      const { refused } = await endedBy(channel)
      return { refused, reason: first, wasConnected: false }
    }
    if (first.type === 'goodbye') return refusedBy(first.goodbye, false)
    const judged = judgeWelcome(first, { zone: options.zone, protocol, knownStore: position?.store, acceptedStore })
    if (!judged.ok) {
      const { goodbye, hold } = judged.error
      if (hold) change({ hold })
      channel.send(encodeMessage({ type: 'goodbye', goodbye }))
      channel.end()
      return { refused: true, reason: goodbye.reason, wasConnected: false }
    }
    const welcome = judged.value
    const standing = await standingOf(store, welcome.position)
    if (standing === 'diverged' && (await beginsIncarnation(welcome))) {
      const goodbye: Goodbye = { code: 'shutdown', reason: 'this zone begins a new incarnation' }
      channel.send(encodeMessage({ type: 'goodbye', goodbye }))
      channel.end()
      return { refused: false, reason: goodbye.reason, wasConnected: true }
    }
    await deps.grants?.granted(welcome)
    return await converse(channel, welcome, standing, uncovered, helloAtMs)
  }

  /** The global has rows of this zone that this store does not hold. */
  async function beginsIncarnation({ formerIncarnation }: Welcome): Promise<boolean> {
    if (begun || !(await beginIncarnation(store, options.zone, formerIncarnation))) return false
    begun = true
    log.warn(
      { incarnation: store.incarnation },
      'the global has a later history of this zone: a new incarnation begins',
    )
    return true
  }

  async function hello(uncovered: readonly string[]): Promise<Hello> {
    const facts = {
      protocol,
      storeId: store.id,
      incarnation: store.incarnation,
      startedAtMs,
      position,
    }
    const names = { host: options.hostname, version: options.version, replica }
    const reserve = deps.grants?.request()
    return { ...facts, ...names, uncovered, creditBytes: creditWindowBytes, ...(reserve ? { reserve } : {}) }
  }

  function release(hold: string | undefined): boolean {
    const held = state.value.hold
    if (!held || (hold !== undefined && hold !== held.id)) return false
    log.warn({ hold: held.id }, `an operator released a held change: ${held.reason}`)
    const foreignStore = storeOfForeign(held)
    if (foreignStore !== undefined) {
      acceptedStore = foreignStore
      change({ hold: undefined })
      hurry?.()
    } else session?.release(held.id)
    return true
  }

  async function converse(
    channel: Channel,
    welcome: Welcome,
    peerStanding: Welcome['standing'],
    uncovered: readonly string[],
    helloAtMs: number,
  ): Promise<Outcome> {
    const positionCounts = welcome.standing === 'valid'
    // The global has made every bookmark of this session after it had read the hello.
    const echoes = welcome.features.includes('echo')
    const confirmedAt = ({ echoMs }: Bookmark) =>
      madeAfterMs(echoes ? Math.max(helloAtMs, echoMs ?? 0) : undefined, clock.monotonicMs())
    if (position && !positionCounts) deps.onUnknownPosition?.()
    const mine = startSession(
      { store, clock, log },
      {
        channel,
        self: options.zone,
        peer: globalOrigin,
        sight: sightOfGlobal(deps.rules, options.zone),
        peerStore: welcome.storeId,
        position,
        peerPosition: welcome.position,
        peerStanding,
        positionCounts,
        creditBytes: welcome.creditBytes,
        holds: true,
        relays: true,
        uncovered,
        formerBelow: 0,
        formerStays: () => [],
        guards: [],
        originsAt: async () => [options.zone],
        changesSince: store.changesSince.bind(store),
        derive: deps.derive ?? (async () => []),
        served: () => served.value,
        onApplied(applied) {
          position = applied.position
          change({ position, positionCounts: true })
          deps.onApplied?.(applied)
        },
        onReport: () => {},
        onRelease: (hold) => void (deps.onRelease?.(hold) || release(hold)),
        onBookmark: (bookmark: Bookmark) =>
          change({
            storedByGlobal: bookmark.stored,
            sent: mine.sent()?.revision ?? 0,
            globalMark: bookmark.mark,
            bookmarkAtMs: clock.monotonicMs(),
            confirmedAtMs: confirmedAt(bookmark),
            clockAheadMs: clockAheadMs(bookmark, clock.wallMs()),
          }),
        // The mark counts before it is stored: the next bookmark may be two seconds away.
        onMark: ({ revision }) => revision > state.value.globalMark && change({ globalMark: revision }),
        onHold: (hold) => change({ hold }),
        onBlocked: (reason) => change({ reason }),
      },
    )
    session = mine
    const agreement = { protocol: welcome.protocol, features: welcome.features }
    const facts = { globalStoreId: welcome.storeId, epoch: welcome.epoch, agreement }
    change({ ...facts, hold: undefined, positionCounts, phase: 'connected', reason: '' })
    log.info(
      { epoch: welcome.epoch, global: welcome.host, version: welcome.version, ...agreement },
      'connected to the global',
    )
    const watching = new AbortController()
    const announcing = announceServed(served, mine, watching.signal)
    const reporting = deps.report && sendReports(clock, deps.report, mine, watching.signal)
    const leave = () => mine.end('shutdown', 'this zone control plane is stopping')
    stop.signal.addEventListener('abort', leave, { once: true })
    const end = await mine.done
    session = undefined
    stop.signal.removeEventListener('abort', leave)
    watching.abort()
    await Promise.all([announcing, reporting])
    if (end.goodbye) return refusedBy(end.goodbye, true)
    return { refused: false, reason: end.reason, wasConnected: true }
  }

  function judge({ cause, failures }: Failure): Pause {
    const { refused, reason, wasConnected } = outcomeOf(cause)
    if (!wasConnected) options.dialer.forget()
    const isMove = moving && wasConnected
    moving = false
    if (isMove) {
      change({ phase: 'connecting', reason, epoch: undefined })
      return { waitMs: 0 }
    }
    const waitMs = backOffMs(refused ? backOffWhenRefused : backOffWhenLost, failures, deps.random.fraction())
    const again = state.value.reason === reason && !wasConnected
    change({ phase: refused ? 'refused' : 'waiting', reason, epoch: undefined })
    const fields = { failures, waitMs: Math.round(waitMs) }
    if (again) log.debug(fields, 'still no session with the global')
    else
      log.warn(fields, `${refused ? 'the global and this zone do not agree' : 'no session with the global'}: ${reason}`)
    const hurried = new AbortController()
    hurry = () => hurried.abort()
    return { waitMs, hurry: hurried.signal }
  }

  async function runSession(healthy: () => void): Promise<never> {
    const outcome = await attempt()
    if (outcome.wasConnected) healthy()
    throw new SessionEnded(outcome)
  }

  const running = supervise(clock, { attempt: runSession, judge }, stop.signal)
  return {
    state,
    release,
    redial(reason) {
      moving = session !== undefined
      session?.end('shutdown', reason)
      hurry?.()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      // `supervise` ends only by throwing, here because of the abort.
      await running.catch(() => undefined)
      change({ phase: 'stopped', reason: '' })
    },
  }
}

async function announceServed(served: Latest<ServedStatus>, session: Session, signal: AbortSignal): Promise<void> {
  for await (const _ of served.watch(signal)) session.announce()
}

/** A goodbye counts as refused unless a retry soon is likely to succeed. */
function refusedBy(goodbye: Goodbye, wasConnected: boolean): Outcome {
  const passing: readonly GoodbyeCode[] = ['shutdown', 'failed', 'fenced', 'gap']
  const refused = !passing.includes(goodbye.code)
  return { refused, reason: goodbye.reason, wasConnected: wasConnected && !refused }
}

async function endedBy(channel: Channel): Promise<{ readonly refused: boolean }> {
  channel.cut('no welcome')
  return channel.ended
}
