import type { JsonObject } from '../../base/base.ts'
import type { Origin } from '../../resource/resource.ts'
import type { Position, Standing, Version } from '../../store/store.ts'
import type { Agreement, ProtocolOffer } from './protocol.ts'

/** A version as it travels: without the revision, which is the numbering of one store. */
export type Delivered = Omit<Version, 'revision'>

/**
 * Why a replacement is sent: the reader never finished a round, is below the horizon, knows another history, or has rows of an
 * origin that this store has come to know only later.
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
  /** The process: another one of the same zone has another. */
  readonly replica: string
  /** Origins of which the zone holds rows that this global's store has never named completely. */
  readonly uncovered: readonly Origin[]
  /** Absent from a zone that needs no numbers. */
  readonly reserve?: ReserveRequest
}

/**
 * Numbers that a zone may give to names. The global remembers the highest one that any incarnation of the zone has reserved: a zone
 * that loses its store does not know which numbers it has given out.
 */
export interface ReserveRequest {
  /** This incarnation has reserved the numbers below; 0: none. */
  readonly below: number
  /** How many more it asks for. */
  readonly count: number
}

export interface Reserved {
  /** The zone may use the numbers below. */
  readonly below: number
  /** Former incarnations of the zone may have given out any number below. */
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
  /** What the zone's position is worth at the global. A zone that has diverged does not have what its numbers say. */
  readonly standing: Standing | 'new'
  /** Absent from a global that reserves no numbers. */
  readonly reserved?: Reserved
  /** What the zone last reported and has lost with its store. */
  readonly recall?: JsonObject
}

/** What became of one row at a receiver. Without a subject it is the verdict of the plane itself. */
export interface Verdict {
  readonly key: string
  readonly revision: number
  readonly outcome: 'accepted' | 'rejected' | 'quarantined'
  readonly reason: string
  readonly subject: string
}

/** What a receiver keeps back from use until an operator says so. */
export interface Hold {
  /** Names the commit or the replacement; to be said to let it through. */
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

/** Status of one end, each one replacing the former. `stored` and `served` are in the numbering of the one who reads it. */
export interface Bookmark {
  readonly sent: number
  /** The newest mark of the sender's own store that it knows of: more than `sent` while rows are on their way. */
  readonly mark: number
  readonly stored: number
  readonly served: number
  readonly holds: readonly Hold[]
  /** Why the sender cannot store what it gets, for now; empty: it can. */
  readonly blocked: string
  readonly verdicts: readonly Verdict[]
  readonly counters: Counters
  readonly silentProxies: readonly string[]
  /** The wall clock of the sender; 0 from a peer that does not send it. */
  readonly wallClockMs: number
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

/** What the steps say to each other: the frames without their encoding. */
export type RowMessage =
  | { readonly type: 'rows'; readonly rows: readonly Delivered[]; readonly bytes: number }
  | { readonly type: 'mark'; readonly position: Position }
  | {
      readonly type: 'replace'
      readonly origins: readonly Origin[]
      readonly position: Position
      readonly reason: ReplaceReason
    }

/** What a zone shows of its proxies, as differences by key text: state, never log. */
export interface Report {
  /** Forget what came before. */
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
  | { readonly type: 'goodbye'; readonly goodbye: Goodbye }
