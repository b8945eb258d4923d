import type { JsonObject } from '../base/base.ts'
import type { Traceparent } from '../env/trace.ts'
import type { ResourceKey, Row, Stamp } from '../resource/resource.ts'

/** The position of a reader in one store. Valid only if that store holds this commit at this revision. */
export interface Position {
  readonly store: string
  readonly revision: number
  readonly commitId: string
}

/** The text form of a position, for receipts, ETags and the header Zonemesh-Revision. */
export const positionText = (position: Position): string =>
  `${position.store}@${position.revision}.${position.commitId}`

export function parsePosition(text: string): Position | undefined {
  const match = /^([^@]+)@(\d+)\.([0-9a-f]+)$/.exec(text)
  return match ? { store: match[1] ?? '', revision: Number(match[2]), commitId: match[3] ?? '' } : undefined
}

/** A condition of a change. If it does not hold, the whole commit is refused. */
export type Expect = { readonly absent: true } | { readonly revision: number } | { readonly present: true }

/**
 * One change of a commit. A row of the own origin has no stamp: the store stamps it with its incarnation and the
 * commit's revision. A received row keeps its owner's stamp and is skipped if the stored row is not older. `forget`
 * removes a row that this store may no longer see: it leaves no tombstone to relay.
 */
export type Change =
  | {
      readonly op: 'put'
      readonly key: ResourceKey
      readonly labels: Readonly<Record<string, string>>
      readonly spec: JsonObject
      readonly stamp?: Stamp
      /** The row wins even with an older stamp, because an operator has accepted another history of the owner. */
      readonly forced?: true
      readonly expect?: Expect
    }
  | {
      readonly op: 'delete'
      readonly key: ResourceKey
      readonly stamp?: Stamp
      /** Copied from the owner's commit. Own removals take it from this commit. */
      readonly declared?: true
      readonly expect?: Expect
    }
  | { readonly op: 'forget'; readonly key: ResourceKey }
  /** Writes nothing. The commit is refused unless `expect` holds. */
  | { readonly op: 'check'; readonly key: ResourceKey; readonly expect: Expect }

export interface Commit {
  readonly changes: readonly Change[]
  /** Who: a user, a zone, or the plane itself. */
  readonly subject: string
  /** Why: shown in the history. */
  readonly intent: string
  /** All removals of this commit are intended, regardless of their number, so readers do not hold them. */
  readonly declared?: true
  /** The span that makes this commit. It is no part of the rows, and nothing is compared with it. */
  readonly traceparent?: Traceparent
}

/** The outcome of a commit or of a round. */
export type CommitOutcome =
  | {
      readonly ok: true
      /** The head after the commit. */
      readonly position: Position
      /** Changes that were written; skipped ones are left out. */
      readonly written: readonly Version[]
    }
  | {
      readonly ok: false
      readonly conflicts: readonly {
        readonly key: ResourceKey
        readonly expected: Expect
        readonly found: number | undefined
      }[]
      /** The head is not at the revision of the options: another process has written. */
      readonly isBehind?: true
    }

export interface RoundOptions {
  /**
   * Leaves the mark where it is: these rows are in no snapshot before the next round. For rows that no reader needs at
   * a mark.
   */
  readonly unmarked?: true
  /**
   * The revision of the state from which the changes were derived. The round is refused if the head is at another one,
   * so that two processes never derive from the same state.
   */
  readonly head?: number
}

/** One version of one key. `row` is undefined for a tombstone (`deleted`) and for a forgotten row (`forgotten`). */
export interface Version {
  readonly key: ResourceKey
  readonly revision: number
  readonly state: 'live' | 'deleted' | 'forgotten'
  readonly stamp: Stamp
  readonly row?: Row
  /** Set in a tombstone if its owner has declared the removals of the commit as intended. */
  readonly declared?: true
}

export interface CommitRecord {
  readonly position: Position
  readonly subject: string
  readonly intent: string
  readonly atMs: number
  readonly rows: number
  /** The span that made this commit, if it is traced. */
  readonly traceparent?: Traceparent
}

export interface Selection {
  readonly kind?: string
  readonly origin?: string
  readonly mesh?: string
}

/**
 * State that the processes of one store share and that outlives them. A note is no row: it has no revision and no
 * history, causes no wake-up and never travels. It may become durable only after `put` resolves.
 */
export interface Notes {
  /** Writes the entries, and drops those whose value is undefined. */
  put(
    entries: readonly { readonly name: string; readonly value: JsonObject | undefined }[],
    options?: {
      /** Wakes the other processes, because they should read these notes soon. */
      readonly wake?: true
    },
  ): Promise<void>
  /** All entries whose name starts with the prefix. */
  read(prefix: string): Promise<ReadonlyMap<string, JsonObject>>
  /** A hint that another process has put notes and wakes the readers. It may be lost, so readers look by themselves too. */
  onWake(listener: () => void): Disposable
}

/** How a reader's position relates to this store. */
export type Standing = 'valid' | 'behind' | 'diverged'

/**
 * The only access to stored state. Each commit gets the next revision; a mark is a revision at which the state is a
 * snapshot. Every version is kept down to the horizon. All methods are async so that any database fits.
 */
export interface Store {
  /** Random and made once per store. Commit ids distinguish a copy whose history has diverged. */
  readonly id: string
  /** The first part of the stamp of own rows. It never decreases. */
  readonly incarnation: number
  readonly notes: Notes
  /**
   * Raises the incarnation to at least this one, because readers have a history that this store does not hold. Does
   * nothing if the incarnation is already as high.
   */
  raiseIncarnation(atLeast: number): Promise<void>
  /** Why this store cannot write, if it has noticed that before a write fails; otherwise undefined. */
  fault(): string | undefined
  /** The newest commit. Revision 0 with commit id "0" before the first. */
  head(): Promise<Position>
  /** The newest mark: no later than head, and not inside an unfinished round. */
  mark(): Promise<Position>
  /**
   * The only way to write. When it resolves, all parts of the round are durable or none is: they share one transaction,
   * and the mark moves to the last part. If one part is refused, the whole round is refused. Each part that writes
   * something gets its own revision, in order. A round that writes nothing gets none, and its position is the head. A
   * part has at most 1,000 changes. Rounds that wait in one turn may share a transaction, in the order of the calls; a
   * refused round does not affect the others.
   */
  commitRound(parts: readonly Commit[], options?: RoundOptions): Promise<CommitOutcome>
  /** Writes a round of one part. */
  commit(commit: Commit): Promise<CommitOutcome>
  get(key: ResourceKey): Promise<Version | undefined>
  /**
   * Live rows of a selection at a revision (default: the newest mark), in key order; `after` resumes after a key text.
   * Rejects with HorizonError when `at` is below the horizon.
   */
  scan(
    selection: Selection,
    options?: { readonly at?: number; readonly after?: string; readonly limit?: number },
  ): Promise<readonly Row[]>
  /**
   * The newest version of each key with after < revision ≤ through, by revision then key, in pages (default: 500).
   * `resume` is `next` of the former page; `origin` selects the keys of one origin. Rejects with HorizonError when
   * `after` is below the horizon.
   */
  changesSince(
    after: number,
    through: number,
    options?: { readonly limit?: number; readonly resume?: string; readonly origin?: string },
  ): Promise<{ readonly versions: readonly Version[]; readonly next?: string }>
  /** Every kept version of one key, newest first. */
  history(key: ResourceKey): Promise<readonly Version[]>
  records(options: { readonly after: number; readonly limit: number }): Promise<readonly CommitRecord[]>
  standing(position: Position): Promise<Standing>
  /** A hint that there may be a newer mark. Called after the commit is durable, and sometimes without a newer mark. */
  onMark(listener: () => void): Disposable
  close(): Promise<void>
}
