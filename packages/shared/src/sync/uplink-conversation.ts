import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Tracer } from '../env/trace.ts'
import type { QueryHandlers } from '../query/exchange.ts'
import type { Packing } from '../query/packing.ts'
import { globalOrigin } from '../resource/resource.ts'
import { causesBetween } from '../store/causes.ts'
import type { Change, Store } from '../store/store.ts'
import type { Latest } from '../streams/latest.ts'
import type { Applied, Derive } from './applications.ts'
import type { Bookmark } from './log/messages.ts'
import { type SightRules, sightOfGlobal } from './log/who-sees.ts'
import { clockAheadMs, madeAfterMs } from './pulse.ts'
import { type ReadReport, sendReports } from './reports.ts'
import type { ServedStatus } from './served-status.ts'
import { type Session, startSession } from './session.ts'
import type { QueryOptions } from './session-queries.ts'
import type { Opened } from './uplink-opening.ts'
import { type Outcome, refusedBy } from './uplink-retries.ts'
import type { StateKeeper } from './uplink-state.ts'

export interface ConversationDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly rules: SightRules
  /** What the proxies of this zone serve; each change sends a bookmark soon. */
  readonly served: Latest<ServedStatus>
  /**
   * The report on this zone's proxies that the global shows, by key text. Sent as differences, at most once per second.
   */
  readonly report?: Latest<ReadReport>
  readonly derive?: Derive
  /** What this zone answers when the global asks. Default: nothing. */
  readonly queries?: QueryHandlers
  readonly packing?: Packing
  /** Default: nothing is traced. */
  readonly tracer?: Tracer | undefined
  /**
   * This store has committed a mark of the global. Also called once per session with the position from which it
   * resumes.
   */
  readonly onApplied?: (applied: Applied) => void
  /** The global's log does not hold this zone's position: its proxies may serve another history. */
  readonly onUnknownPosition?: () => void
}

interface Deps extends ConversationDeps {
  readonly state: StateKeeper
  readonly zone: string
  /** Every round of the session is refused unless these hold. */
  readonly guards: readonly Change[]
  /** The global requests the release of this hold. */
  readonly release: (hold: string) => void
}

/** Runs the session of an uplink from the welcome to its end, and shows its progress in the state. One at a time. */
export function createConversation(deps: Deps) {
  const { clock, log, served, report, state } = deps
  let session: Session | undefined

  async function converse(opened: Opened, signal: AbortSignal): Promise<Outcome> {
    const { welcome } = opened
    const positionCounts = countsPosition(opened)
    if (state.latest.value.position && !positionCounts) deps.onUnknownPosition?.()
    const mine = startWith(deps, opened)
    session = mine
    const agreement = { protocol: welcome.protocol, features: welcome.features }
    const facts = { globalStoreId: welcome.storeId, epoch: welcome.epoch, agreement }
    state.change({ ...facts, hold: undefined, positionCounts, phase: 'connected', reason: '' })
    log.info(
      { epoch: welcome.epoch, global: welcome.host, version: welcome.version, ...agreement },
      'connected to the global',
    )
    const watching = new AbortController()
    const announcing = announceServed(served, mine, watching.signal)
    const reporting = report && sendReports(clock, report, mine, watching.signal)
    const leave = () => mine.end('shutdown', 'the control plane of the zone has stopped')
    // The zone may have been stopped while the session was opened.
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    const end = await mine.done
    session = undefined
    signal.removeEventListener('abort', leave)
    watching.abort()
    await Promise.all([announcing, reporting])
    if (end.goodbye) return refusedBy(end.goodbye, true)
    return { refused: false, reason: end.reason, wasConnected: true }
  }

  return {
    converse,
    /** The session that is open now. */
    session: (): Session | undefined => session,
  }
}

const countsPosition = ({ welcome }: Opened): boolean => welcome.standing === 'valid'

function startWith(deps: Deps, opened: Opened): Session {
  const { store, clock, log, tracer, rules, served, state, zone } = deps
  const { channel, welcome, standing, uncovered, helloAtMs } = opened
  // The global has made every bookmark of this session after it had read the hello.
  const echoes = welcome.features.includes('echo')
  const confirmedAt = ({ echoMs }: Bookmark) =>
    madeAfterMs(echoes ? Math.max(helloAtMs, echoMs ?? 0) : undefined, clock.monotonicMs())
  const session = startSession(
    { store, clock, log, tracer },
    {
      channel,
      self: zone,
      peer: globalOrigin,
      sight: sightOfGlobal(rules, zone),
      peerStore: welcome.storeId,
      position: state.latest.value.position,
      peerPosition: welcome.position,
      peerStanding: standing,
      positionCounts: countsPosition(opened),
      creditBytes: welcome.creditBytes,
      holds: true,
      relays: true,
      uncovered,
      formerBelow: 0,
      formerStays: () => [],
      guards: deps.guards,
      originsAt: async () => [zone],
      changesSince: store.changesSince.bind(store),
      ...(tracer?.isOn ? { causesBetween: (after, through) => causesBetween(store, after, through) } : {}),
      derive: deps.derive ?? (async () => []),
      served: () => served.value,
      onApplied(applied) {
        state.change({ position: applied.position, positionCounts: true })
        deps.onApplied?.(applied)
      },
      onReport: () => {},
      onRelease: deps.release,
      queries: queriesOf(deps, opened),
      onBookmark: (bookmark: Bookmark) =>
        state.change({
          storedByGlobal: bookmark.stored,
          sent: session.sent()?.revision ?? 0,
          globalMark: bookmark.mark,
          bookmarkAtMs: clock.monotonicMs(),
          confirmedAtMs: confirmedAt(bookmark),
          clockAheadMs: clockAheadMs(bookmark, clock.wallMs()),
        }),
      // The mark counts before it is stored: the next bookmark may be two seconds away.
      onMark: ({ revision }) => revision > state.latest.value.globalMark && state.change({ globalMark: revision }),
      onHold: (hold) => state.change({ hold }),
      onBlocked: (reason) => state.change({ reason }),
    },
  )
  return session
}

function queriesOf({ queries = {}, packing }: Deps, { welcome }: Opened): QueryOptions {
  const older = `the global at ${welcome.host} runs version ${welcome.version}, which answers no queries: upgrade it`
  return {
    handlers: queries,
    ...(packing ? { packing } : {}),
    ...(welcome.features.includes('query') ? {} : { unsupported: older }),
  }
}

async function announceServed(served: Latest<ServedStatus>, session: Session, signal: AbortSignal): Promise<void> {
  for await (const _ of served.watch(signal)) session.announce()
}
