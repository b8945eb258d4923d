import { keyText } from '../resource/resource.ts'
import type { Version } from '../store/store.ts'

/** One version as a judge sees it: its owner, the owner's stamp, and a hash of its content. */
export interface SeenVersion {
  readonly key: string
  readonly origin: string
  readonly state: 'live' | 'deleted' | 'forgotten'
  readonly incarnation: number
  readonly originRevision: number
  readonly content: string
}

/**
 * The events of a mesh that the judges need. The simulator records them from the inside, and `zonemesh chaos` from the
 * APIs of running planes. All times are in milliseconds by one clock.
 */
export type HistoryEvent = { readonly atMs: number } & (
  | {
      readonly type: 'written'
      /** The owner of the store: `global` or the name of a zone. */
      readonly plane: string
      readonly store: string
      /** How often the store was lost or exchanged for an older copy. */
      readonly life: number
      readonly revision: number
      readonly mark: boolean
      readonly versions: readonly SeenVersion[]
    }
  /** The store of a plane was lost or exchanged for an older copy; `kept`: its own keys that are live in it now. */
  | {
      readonly type: 'store-exchanged'
      readonly plane: string
      readonly life: number
      readonly kept: readonly string[]
      /** The newest revision of the store now; absent if the observer does not know it. */
      readonly revision?: number
    }
  /** An operator has released the hold of a zone. */
  | { readonly type: 'released'; readonly zone: string }
  /** A zone has applied a mark of the global. */
  | {
      readonly type: 'applied'
      readonly zone: string
      readonly session: string
      readonly store: string
      readonly revision: number
    }
  /** A zone has begun to receive an announced replacement of these origins. */
  | { readonly type: 'replaced'; readonly zone: string; readonly origins: readonly string[] }
  /** A plane reports that a zone is current with this store of the global. */
  | { readonly type: 'claimed'; readonly by: string; readonly zone: string; readonly store: string }
  /** The contents of two rows in a zone that are always written together. */
  | { readonly type: 'pair'; readonly zone: string; readonly left: string; readonly right: string }
  /** A zone answers a name with an address; undefined if it no longer answers. */
  | {
      readonly type: 'answered'
      readonly zone: string
      readonly service: string
      readonly address: string | undefined
    }
  /**
   * A receipt, or the status of a zone at a global, reports that a zone has stored or served a revision of this store.
   */
  | {
      readonly type: 'receipt'
      readonly by: 'a receipt' | 'the status'
      readonly level: 'stored' | 'served'
      readonly zone: string
      readonly store: string
      readonly revision: number
    }
  /** How long a commit without bad resources took to reach a zone. */
  | { readonly type: 'lag'; readonly zone: string; readonly ms: number }
  | {
      readonly type: 'request'
      /** Absent if the observer does not know it. */
      readonly startedAtMs?: number
      readonly from: string
      readonly to: string
      readonly ok: boolean
      readonly reason: string
    }
  /** The differences of a plane from what it should hold, after healing and the stated time. */
  | {
      readonly type: 'final'
      readonly plane: string
      readonly missing: readonly string[]
      readonly surplus: readonly string[]
    }
)

/** Why a guarantee does not hold, with the place in the history. */
export interface Violation {
  readonly guarantee: string
  readonly atMs: number
  readonly reason: string
}

export type Judge = (history: readonly HistoryEvent[]) => readonly Violation[]

export const seen = (version: Version, content: string): SeenVersion => ({
  key: keyText(version.key),
  origin: version.key.origin,
  state: version.state,
  incarnation: version.stamp.incarnation,
  originRevision: version.stamp.originRevision,
  content,
})
