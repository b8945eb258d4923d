/** The newest leader in the store: the process, and the revision of the row that names it. */
export interface LeaderRow {
  readonly instance: string
  readonly term: number
}

/** The last sign of life of a leader. A note of a former leader has its former term. */
export interface Beat {
  readonly term: number
  readonly count: number
  /** The leader has stopped in order, so nobody needs to wait. */
  readonly resigned: boolean
}

/** What one look at the store has found. */
export interface Seen {
  readonly row: LeaderRow | undefined
  readonly beat: Beat | undefined
}

/** What a process remembers between two looks. */
export interface Watch {
  /** The term and count of the newest sign of life. */
  readonly sign: string
  /** When this process last looked, by its monotonic clock, and for how long it has seen the same sign. */
  readonly lookedAtMs: number
  readonly silentForMs: number
}

export type Decision =
  /** This process is the leader: it publishes the next beat. */
  | { readonly type: 'lead'; readonly term: number; readonly nextCount: number }
  /** Another process leads. */
  | { readonly type: 'follow'; readonly leader: string }
  /** The leader is gone: this process tries to replace exactly this row. */
  | { readonly type: 'take'; readonly from: LeaderRow | undefined }

/**
 * Decides what a process does after one look at the store. It judges silence by its own monotonic clock only, so clocks
 * of different machines are never compared. Of the time between two looks, at most `gapMaxMs` counts: while the store did
 * not answer this process, it did not answer the leader either, which needs a moment for its next beat. Two processes may both decide to take the lead: the store accepts one.
 */
export function electionStep(
  self: string,
  watch: Watch | undefined,
  { row, beat }: Seen,
  { nowMs, silentMs, gapMaxMs }: { readonly nowMs: number; readonly silentMs: number; readonly gapMaxMs: number },
): { readonly watch: Watch | undefined; readonly decision: Decision } {
  if (!row) return { watch: undefined, decision: { type: 'take', from: undefined } }
  const current = beat?.term === row.term ? beat : undefined
  if (row.instance === self)
    return { watch: undefined, decision: { type: 'lead', term: row.term, nextCount: (current?.count ?? 0) + 1 } }
  if (current?.resigned) return { watch: undefined, decision: { type: 'take', from: row } }
  const sign = `${row.term} ${current?.count ?? 0}`
  const silentForMs = watch?.sign === sign ? watch.silentForMs + Math.min(nowMs - watch.lookedAtMs, gapMaxMs) : 0
  const next = { sign, lookedAtMs: nowMs, silentForMs }
  if (silentForMs >= silentMs) return { watch: next, decision: { type: 'take', from: row } }
  return { watch: next, decision: { type: 'follow', leader: row.instance } }
}
