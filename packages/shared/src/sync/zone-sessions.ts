import { err } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Tracer } from '../env/trace.ts'
import type { QueryHandlers } from '../query/exchange.ts'
import type { Packing } from '../query/packing.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import type { Derive } from './applications.ts'
import { type Completeness, type Completing, createCompleteness, nothingComplete } from './completeness.ts'
import type { Epoch } from './epochs.ts'
import type { Formers } from './formers.ts'
import type { Admitted } from './handshake.ts'
import type { InflowLimit } from './inflow.ts'
import type { Hello } from './log/messages.ts'
import type { Agreement } from './log/protocol.ts'
import { type SightRules, sightOfZone } from './log/who-sees.ts'
import type { Marks } from './marks.ts'
import type { CausesBetween } from './reads.ts'
import type { RemoteZone } from './replicas.ts'
import { nothingServed } from './served-status.ts'
import { type Session, startSession } from './session.ts'
import type { Ask, QueryOptions } from './session-queries.ts'
import { createSharedReads } from './shared-reads.ts'
import type { ZoneBoard } from './zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly rules: SightRules
  readonly derive: Derive | undefined
  readonly board: ZoneBoard
  readonly formers: Formers
  readonly marks: Marks
  /** The zones with a session on another replica. */
  readonly remote: () => ReadonlyMap<string, RemoteZone>
  /** How fast a zone may send rows. Default: no limit. */
  readonly inflow: InflowLimit | undefined
  readonly queries: ZoneQueries
  readonly tracer: Tracer | undefined
}

/** What the global answers to zones. */
export interface ZoneQueries {
  /** The handlers for a zone. The token of the session has determined its name. */
  readonly handlersFor: (zone: string) => QueryHandlers
  readonly packing?: Packing
}

/** The session of a zone with this process. */
export interface ZoneSession extends Completing {
  readonly session: Session
  readonly epoch: number
}

/** A zone that has its welcome. */
export interface Welcomed extends Admitted {
  readonly channel: Channel
  readonly hello: Hello
  readonly epoch: Epoch
  /** The position of this store in the log of the zone. */
  readonly position: Position | undefined
  readonly agreement: Agreement
}

export interface ZoneSessions {
  /** The sessions that are open now. */
  readonly byZone: ReadonlyMap<string, ZoneSession>
  /** Starts the session of a zone and follows it until its end. */
  start(welcomed: Welcomed): void
  /** A zone with a session on another replica has become complete. */
  announce(zone: string): void
  /** Asks a zone; resolves with its answer, or with the reason why there is none. */
  ask(zone: string, ...question: Parameters<Ask>): ReturnType<Ask>
}

/**
 * The sessions with zones in this process, at most one per zone. The progress of a session appears on the board and
 * decides whether its zone is complete.
 */
export function createZoneSessions(deps: Deps): ZoneSessions {
  const { store, log, board, remote } = deps
  const byZone = new Map<string, ZoneSession>()
  const completeness = createCompleteness({ store, sessions: byZone, remote })
  const { changesSince, causesBetween } = createSharedReads(store)
  const parts = {
    ...{ ...deps, completeness, changesSince },
    ...(deps.tracer?.isOn ? { causesBetween } : {}),
  }
  return {
    byZone,
    announce: completeness.announce,
    async ask(zone, ...question) {
      const own = byZone.get(zone)
      if (own) return own.session.ask(...question)
      const reason = remote().has(zone)
        ? `zone "${zone}" has its session with another process of this global: ask that one`
        : `zone "${zone}" is not connected to the global`
      return err({ code: 'ended', reason })
    },
    start(welcomed) {
      const { zone, hello, agreement, watch } = welcomed
      const { epoch, standing } = welcomed.epoch
      const session = startWith(parts, welcomed, () => own)
      const own: ZoneSession = { session, hello, epoch, ...nothingComplete }
      byZone.set(zone, own)
      completeness.begun(own)
      const stored = standing === 'valid' ? hello.position?.revision : undefined
      board.connected(zone, epoch, hello, stored, agreement)
      log.info({ zone, epoch, host: hello.host }, 'a zone is connected')
      const watching = watch?.((reason) => session.end('refused', reason))
      void session.done.then((end) => {
        watching?.[Symbol.dispose]()
        if (byZone.get(zone) === own) byZone.delete(zone)
        board.ended(zone, end)
        log.info({ zone, epoch, code: end.goodbye?.code }, `the session of a zone ended: ${end.reason}`)
      })
    },
  }
}

interface Parts extends Deps {
  readonly completeness: Completeness
  readonly changesSince: Store['changesSince']
  readonly causesBetween?: CausesBetween
}

/** `own` returns the entry of the session. It exists once the session has started. */
function startWith(parts: Parts, welcomed: Welcomed, own: () => ZoneSession): Session {
  const { zone, channel, hello, epoch, position, agreement } = welcomed
  const { store, clock, log, board, completeness, formers, inflow } = parts
  const session = startSession(
    { store, clock, log: log.child({ zone }), tracer: parts.tracer },
    {
      channel,
      self: globalOrigin,
      peer: zone,
      sight: sightOfZone(parts.rules, zone),
      peerStore: hello.storeId,
      position,
      peerPosition: hello.position,
      peerStanding: epoch.standing,
      positionCounts: true,
      creditBytes: hello.creditBytes,
      ...(inflow ? { inflow } : {}),
      // A zone owns its rows, so the global never holds a removal of them.
      holds: false,
      relays: false,
      uncovered: [],
      formerBelow: hello.incarnation,
      formerStays: (rows) => formers.stays(zone, hello.incarnation, rows),
      guards: [epoch.guard],
      originsAt: (at, reason) => completeness.name(zone, own(), at, reason),
      changesSince: parts.changesSince,
      marks: parts.marks,
      ...(parts.causesBetween ? { causesBetween: parts.causesBetween } : {}),
      derive: parts.derive ?? (async () => []),
      served: () => nothingServed,
      onApplied({ localMark }) {
        own().storedAt = localMark.revision
        completeness.consider(zone, own())
      },
      onReport: (report) => board.report(zone, report),
      onRelease: () => {},
      queries: queriesOf(parts.queries, zone, hello, agreement),
      newestMark: () => board.newestMark(),
      onBookmark(bookmark) {
        own().mark = bookmark.mark
        const revisions = { sent: session.sent()?.revision ?? 0, stored: session.stored()?.revision ?? 0 }
        board.bookmark(zone, bookmark, revisions)
        completeness.consider(zone, own())
      },
    },
  )
  return session
}

function queriesOf(
  { handlersFor, ...options }: ZoneQueries,
  zone: string,
  { version }: Hello,
  { features }: Agreement,
): QueryOptions {
  const older = `zone "${zone}" runs version ${version}, which answers no queries: upgrade it`
  return { ...options, handlers: handlersFor(zone), ...(features.includes('query') ? {} : { unsupported: older }) }
}
