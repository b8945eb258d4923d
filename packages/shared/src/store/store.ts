import type { JsonObject } from '../base/base.ts'
import type { ResourceKey, Row, Stamp } from '../resource/resource.ts'

/** Where a reader stands in one store. Valid only if that store holds this commit at this revision. */
export interface Position {
  readonly store: string
  readonly revision: number
  readonly commitId: string
}

/** The text form of a position: receipts, ETags and the header Zonemesh-Revision. */
export const positionText = (position: Position): string =>
  `${position.store}@${position.revision}.${position.commitId}`

export function parsePosition(text: string): Position | undefined {
  const match = /^([^@]+)@(\d+)\.([0-9a-f]+)$/.exec(text)
  return match ? { store: match[1] ?? '', revision: Number(match[2]), commitId: match[3] ?? '' } : undefined
}

/** What must hold for a change to be made; if not, the whole commit is refused. */
export type Expect = { readonly absent: true } | { readonly revision: number } | { readonly present: true }

/**
 * One change of a commit. Rows of one's own origin come without a stamp: the store stamps them with its incarnation and
 * the commit's revision. Received rows keep their owner's stamp and are skipped if the row here is not older.
 * `forget` removes a row that its owner has withdrawn from our sight: it leaves no tombstone to relay.
 */
export type Change =
  | {
      readonly op: 'put'
      readonly key: ResourceKey
      readonly labels: Readonly<Record<string, string>>
      readonly spec: JsonObject
      readonly stamp?: Stamp
      /** The stamp counts even if it is the older one: an operator has accepted another history of the owner. */
      readonly forced?: true
      readonly expect?: Expect
    }
  | {
      readonly op: 'delete'
      readonly key: ResourceKey
      readonly stamp?: Stamp
      /** As in the owner's commit; own removals take it from the commit. */
      readonly declared?: true
      readonly expect?: Expect
    }
  | { readonly op: 'forget'; readonly key: ResourceKey }
  /** Writes nothing: the commit is refused unless this holds. */
  | { readonly op: 'check'; readonly key: ResourceKey; readonly expect: Expect }

export interface Commit {
  readonly changes: readonly Change[]
  /** Who: a user, a zone, or the plane itself. */
  readonly subject: string
  /** Why: shown in the history. */
  readonly intent: string
  /** What it removes is meant to go, however much it is: readers do not hold it. */
  readonly declared?: true
}

/** Of a commit or of a round. */
export type CommitOutcome =
  | {
      readonly ok: true
      /** The head after it. */
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
    }

export interface RoundOptions {
  /** The mark stays where it is: no snapshot has these rows before the next round. For rows that nobody reads at a mark. */
  readonly unmarked?: true
}

/** One version of one key. `row` is undefined for a tombstone (`deleted`) and for a forgotten row (`forgotten`). */
export interface Version {
  readonly key: ResourceKey
  readonly revision: number
  readonly state: 'live' | 'deleted' | 'forgotten'
  readonly stamp: Stamp
  readonly row?: Row
  /** Of a tombstone: its owner has declared that so much is to go. */
  readonly declared?: true
}

export interface CommitRecord {
  readonly position: Position
  readonly subject: string
  readonly intent: string
  readonly atMs: number
  readonly rows: number
}

export interface Selection {
  readonly kind?: string
  readonly origin?: string
  readonly mesh?: string
}

/**
 * State that the processes of one store share and that outlives them, but that is no row: it has no revision and no history, wakes
 * nobody, and never travels. Not durable at once.
 */
export interface Notes {
  /** Writes, or drops where the value is undefined. */
  put(entries: readonly { readonly name: string; readonly value: JsonObject | undefined }[]): Promise<void>
  /** All entries whose name starts so. */
  read(prefix: string): Promise<ReadonlyMap<string, JsonObject>>
}

/** How a reader's position relates to this store. */
export type Standing = 'valid' | 'behind' | 'diverged'

/**
 * The one door to stored state. Revisions grow by one per commit in commit order; a mark is a revision at which the
 * state is a snapshot. Every version is kept down to the horizon. All methods are async so that any database fits.
 */
export interface Store {
  /** Random, made once per store; a copy that went another way is told apart by commit ids. */
  readonly id: string
  /** What own rows are stamped with first: it only ever grows. */
  readonly incarnation: number
  readonly notes: Notes
  /**
   * Begins another incarnation, at least this one, because readers know a history of this store that it does not hold itself. Does
   * nothing if the present one is as high.
   */
  raiseIncarnation(atLeast: number): Promise<void>
  /** Why this store takes no writes, where that is known before one fails; undefined: nothing is known. */
  fault(): string | undefined
  /** The newest commit. Revision 0 with commit id "0" before the first. */
  head(): Promise<Position>
  /** The newest mark: no later than head, and not inside an unfinished round. */
  mark(): Promise<Position>
  /**
   * The only way to write. All parts of a round are durable when it resolves, or none of them is: one transaction, and the mark moves
   * to the last part. A part that is refused refuses the round. Each part that writes something takes a revision of its own, in their
   * order; a round that writes nothing takes none, and its position is the head. At most 1,000 changes in a part.
   * Rounds that wait in one turn may share a transaction, in the order of the calls; a refused one hurts only itself.
   */
  commitRound(parts: readonly Commit[], options?: RoundOptions): Promise<CommitOutcome>
  /** A round of one part. */
  commit(commit: Commit): Promise<CommitOutcome>
  get(key: ResourceKey): Promise<Version | undefined>
  /**
   * Live rows of a selection at a revision (default: the newest mark), in key order; `after` resumes behind a key text.
   * Rejects with HorizonError when `at` is below the horizon.
   */
  scan(
    selection: Selection,
    options?: { readonly at?: number; readonly after?: string; readonly limit?: number },
  ): Promise<readonly Row[]>
  /**
   * For each key its newest version with after < revision ≤ through, by revision then key, in pages (500 without a limit);
   * `resume` is `next` of the page before; `origin` leaves out the keys of all others. Rejects with HorizonError when `after` is
   * below the horizon.
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
  /** A hint that there may be a newer mark. Called after the commit is durable; may be called for nothing. */
  onMark(listener: () => void): Disposable
  close(): Promise<void>
}
