import { inSpan, noSpan, noTracer, type Span, type Traceparent, type Tracer } from '../env/trace.ts'
import type { Origin } from '../resource/resource.ts'
import type { Change, Commit, Position, Store, Version } from '../store/store.ts'
import type { Lifetime } from './lifetime.ts'
import type { Listed } from './log/holds.ts'
import type { Application, InboundEvent } from './log/inbound.ts'
import { partsOf, positionChange } from './log/rounds.ts'

/** What a plane adds to a round in the same commit, such as addresses of new services. */
export type Derive = (changes: readonly Change[]) => Promise<readonly Change[]>

/** A round of the peer that this store has committed: `localMark` and every later mark include it. */
export interface Applied {
  readonly position: Position
  readonly localMark: Position
  readonly written: readonly Version[]
}

interface Deps {
  readonly store: Store
  readonly lifetime: Lifetime
  readonly tracer: Tracer | undefined
}

export interface ApplicationOptions {
  readonly self: Origin
  readonly peer: Origin
  readonly peerStore: string
  /** Our position in the peer's log. */
  readonly position: Position | undefined
  /** True if the peer's log holds our position. If not, nothing counts as stored until a mark of the peer is stored. */
  readonly positionCounts: boolean
  /** The peer also sends rows of other origins. */
  readonly relays: boolean
  /** Checks that every commit of this session includes. If one fails, the session is fenced. */
  readonly guards: readonly Change[]
  readonly derive: Derive
  /** Changes for the same commit that record how many rows of a former incarnation stay for a while. */
  readonly formerStays: (rows: number) => readonly Change[]
  readonly onApplied: (applied: Applied) => void
}

/**
 * The work on the store for the inbound step: lists the rows that a replacement is compared with, and commits rounds.
 * It reports a round as applied once its position is stored, with everything that was written since the last report.
 */
export function createApplications({ store, lifetime, tracer = noTracer }: Deps, options: ApplicationOptions) {
  const { self, peer, relays } = options
  /** Includes everything that this session has written. Undefined before the session opens. */
  let localMark: Position | undefined
  let written: readonly Version[] = []
  let rowsApplied = 0
  let { positionCounts } = options

  async function write(application: Application, span: Span): Promise<InboundEvent | undefined> {
    const { changes } = application
    const derived = changes.length > 0 ? await options.derive(changes) : []
    const outcome = await store.commitRound(commitsOf(application, derived, options, span.traceparent))
    if (!outcome.ok) {
      if (options.guards.length === 0)
        throw new Error(`the store refused a round of ${peer}: ${JSON.stringify(outcome.conflicts)}`)
      span.end('a newer session of this zone was opened elsewhere')
      lifetime.end('fenced', 'a newer session of this zone was opened elsewhere')
      return undefined
    }
    span.set({ 'zonemesh.revision': outcome.position.revision })
    localMark = outcome.position
    rowsApplied += outcome.written.length
    written = [...written, ...outcome.written]
    return { type: 'applied' }
  }

  return {
    /** The session opens at this mark of the store and resumes at its position. */
    open(mark: Position): void {
      if (!lifetime.signal.aborted) localMark = mark
      if (options.position && positionCounts)
        options.onApplied({ position: options.position, localMark: mark, written: [] })
    },
    /** The session ends. Only a commit that is underway is still reported. */
    close(): void {
      localMark = undefined
    },
    async list(origins: readonly Origin[]): Promise<InboundEvent> {
      const { revision } = await store.head()
      const named = new Set(origins)
      const rows: Listed[] = []
      const others = new Set<Origin>()
      const found = relays
        ? [await store.scan({}, { at: revision })]
        : await Promise.all(origins.map((origin) => store.scan({ origin }, { at: revision })))
      for (const { key, stamp } of found.flat()) {
        if (named.has(key.origin)) rows.push({ key, incarnation: stamp.incarnation })
        else if (key.origin !== self) others.add(key.origin)
      }
      return { type: 'listed', rows, otherOrigins: [...others] }
    },
    /** Undefined if the store refused the round. The session has ended then. */
    apply(application: Application): Promise<InboundEvent | undefined> {
      if (!application.causes) return write(application, noSpan)
      const span = spanOf(tracer, peer, application)
      return inSpan(span, () => write(application, span))
    },
    /** The store has everything up to this position of the peer. */
    stored(position: Position): void {
      positionCounts = true
      if (localMark) options.onApplied({ position, localMark, written })
      written = []
    },
    /** The revision of a position in the log of the peer; 0 as long as the log does not hold our position. */
    counted: (position: Position | undefined): number =>
      positionCounts && position?.store === options.peerStore ? position.revision : 0,
    rowsApplied: (): number => rowsApplied,
  }
}

const spanOf = (tracer: Tracer, peer: Origin, { changes, causes = [], position }: Application): Span =>
  tracer.startWork('apply a round', causes, {
    'zonemesh.peer': peer,
    'zonemesh.rows': changes.length,
    ...(position ? { 'zonemesh.peer_revision': position.revision } : {}),
  })

/** The last commit also moves the position. */
function commitsOf(
  { changes, bytes, position, uncovered, ahead, former }: Application,
  derived: readonly Change[],
  { self, peer, guards, formerStays }: ApplicationOptions,
  traceparent: Traceparent | undefined,
): readonly Commit[] {
  const why = {
    subject: peer,
    intent: position ? `sync up to ${position.revision}` : 'sync the rows that are not held',
    ...(traceparent ? { traceparent } : {}),
  }
  const last = [
    ...(position ? [positionChange(self, peer, position, uncovered)] : []),
    ...(ahead ? [positionChange(self, peer, ahead.position, ahead.uncovered)] : []),
    ...(former > 0 ? formerStays(former) : []),
  ]
  return partsOf([...changes, ...derived], last, why, { guards, bytes })
}
