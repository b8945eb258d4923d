import type { JsonObject } from '../../base/base.ts'
import type { Traceparent } from '../../env/trace.ts'
import type { QueryFrame } from '../../query/query.ts'
import type { Origin } from '../../resource/resource.ts'
import type { Position, Standing, Version } from '../../store/store.ts'
import type { Agreement, ProtocolOffer } from './protocol.ts'

/** A version as it travels: without its revision, which is valid in one store only. */
export type Delivered = Omit<Version, 'revision'>

/**
 * Why a replacement is sent: the reader has never finished a round, is below the horizon, has another history, or has
 * rows of an origin that this store has received completely only later.
 */
export type ReplaceReason = 'new' | 'behind' | 'diverged' | 'late'

export interface Hello {
  readonly protocol: ProtocolOffer
  readonly storeId: string
  readonly incarnation: number
  readonly host: string
  readonly startedAtMs: number
  readonly version: string
  readonly position: Position | undefined
  readonly creditBytes: number
  /** Identifies the process. Each process of a zone has its own. */
  readonly replica: string
  /** Grows with each change of the process that leads the replicas of the zone. Absent: the zone has one process. */
  readonly leaderTerm?: number
  /** Origins with rows in the zone that this global's store has never named completely. */
  readonly uncovered: readonly Origin[]
  /** Absent from a zone that needs no numbers. */
  readonly reserve?: ReserveRequest
}

/**
 * Numbers that a zone may give to names. The global remembers the highest number that any incarnation of the zone has
 * reserved, because a zone that has lost its store no longer has the numbers that it gave out.
 */
export interface ReserveRequest {
  /** This incarnation has reserved the numbers below this one; 0: none. */
  readonly below: number
  /** How many more it requests. */
  readonly count: number
}

export interface Reserved {
  /** The zone may use the numbers below this one. */
  readonly below: number
  /** Former incarnations of the zone may have given out any number below this one. */
  readonly before: number
}

export interface Welcome extends Agreement {
  readonly storeId: string
  readonly epoch: number
  readonly position: Position | undefined
  readonly creditBytes: number
  readonly version: string
  readonly zone: string
  readonly host: string
  /** The highest incarnation of this zone's rows that the global has seen. */
  readonly formerIncarnation: number
  /**
   * Whether the global's history holds the zone's position. If it has diverged, its revision does not show what the
   * zone has.
   */
  readonly standing: Standing | 'new'
  /** Absent from a global that reserves no numbers. */
  readonly reserved?: Reserved
  /** The part of the zone's last report that the zone has lost with its store. */
  readonly recall?: JsonObject
}

export const verdictOutcomes = ['accepted', 'rejected', 'quarantined'] as const

/** The outcome of one row at a receiver. Without a subject it is the verdict of the plane itself. */
export interface Verdict {
  readonly key: string
  readonly revision: number
  readonly outcome: (typeof verdictOutcomes)[number]
  readonly reason: string
  readonly subject: string
}

/** A change that a receiver does not apply until an operator releases it. */
export interface Hold {
  /** Names the commit or the replacement. A release carries this id. */
  readonly id: string
  readonly origin: Origin
  readonly reason: string
  readonly removals: number
}

export interface Counters {
  readonly rowsReceived: number
  readonly rowsApplied: number
  readonly rowsRefused: number
  readonly bytesReceived: number
  readonly proxies: number
  readonly proxiesConnected: number
}

export const noCounters: Counters = {
  rowsReceived: 0,
  rowsApplied: 0,
  rowsRefused: 0,
  bytesReceived: 0,
  proxies: 0,
  proxiesConnected: 0,
}

/**
 * The status of the sender; each bookmark replaces the former. `stored` and `served` are revisions of the receiver's
 * store.
 */
export interface Bookmark {
  readonly sent: number
  /** The newest mark that the sender has read from its own store: higher than `sent` while rows wait to be sent. */
  readonly mark: number
  readonly stored: number
  readonly served: number
  readonly holds: readonly Hold[]
  /** Why the sender cannot store rows at the moment; empty if it can. */
  readonly blocked: string
  readonly verdicts: readonly Verdict[]
  readonly counters: Counters
  readonly silentProxies: readonly string[]
  /** The wall clock of the sender; 0 from a peer that does not send it. */
  readonly wallClockMs: number
  /** The monotonic clock of the sender. */
  readonly sentAtMs?: number
  /** `sentAtMs` of the receiver's newest bookmark that the sender had read: this bookmark is younger. */
  readonly echoMs?: number
}

export const goodbyeCodes = [
  'fenced',
  'held-by-another',
  'wrong-global',
  'refused',
  'diverged',
  'protocol',
  'gap',
  'too-large',
  'shutdown',
  'failed',
] as const
export type GoodbyeCode = (typeof goodbyeCodes)[number]

export interface Goodbye {
  readonly code: GoodbyeCode
  readonly reason: string
}

/** The messages that the steps exchange: the frames of rows without their encoding. */
export type RowMessage =
  | { readonly type: 'rows'; readonly rows: readonly Delivered[]; readonly bytes: number }
  | {
      readonly type: 'mark'
      readonly position: Position
      /** The spans of the commits of the round, the newest last. Absent if none is traced. */
      readonly traceparents?: readonly Traceparent[]
    }
  | {
      readonly type: 'replace'
      readonly origins: readonly Origin[]
      readonly position: Position
      readonly reason: ReplaceReason
    }

/** The report of a zone on its proxies, as differences by key text. It is state and never enters a log. */
export interface Report {
  /** The receiver drops all former entries. */
  readonly reset: boolean
  readonly changed: readonly { readonly key: string; readonly value: JsonObject }[]
  readonly removed: readonly string[]
}

export type Message =
  | RowMessage
  | { readonly type: 'hello'; readonly hello: Hello }
  | { readonly type: 'welcome'; readonly welcome: Welcome }
  | { readonly type: 'bookmark'; readonly bookmark: Bookmark }
  | { readonly type: 'report'; readonly report: Report }
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'release'; readonly hold: string }
  /** Only in a session with the feature `query`. */
  | { readonly type: 'query'; readonly frame: QueryFrame }
  | { readonly type: 'goodbye'; readonly goodbye: Goodbye }
