import { unreachable } from '../../base/base.ts'
import type { Traceparent } from '../../env/trace.ts'
import type { Origin, Row } from '../../resource/resource.ts'
import type { Position, Version } from '../../store/store.ts'
import type { Delivered, ReplaceReason, RowMessage } from './messages.ts'
import type { Sight } from './who-sees.ts'

/** A version to judge. `before` is the row that the reader may hold; it is read only if sight depends on the row. */
export interface Candidate {
  readonly version: Version
  readonly before?: Row
}

export type OutboundEvent =
  /**
   * The position of the peer, and the reason for a replacement if this store's history does not hold it. Once, and
   * first.
   */
  | {
      readonly type: 'opened'
      readonly position: Position | undefined
      readonly reason: ReplaceReason | undefined
      /** The newest mark of this store at this time. */
      readonly newest: Position
    }
  | { readonly type: 'woken' }
  /** `frameBytes`: about how many bytes the link carries in a second, if known. */
  | { readonly type: 'credited'; readonly bytes: number; readonly frameBytes?: number }
  /** From revision `at` on, this store has all rows of these origins, of which the reader had rows before. */
  | { readonly type: 'late'; readonly origins: readonly Origin[]; readonly at: number }
  // The events below answer the reads. At most one read is pending at a time.
  /**
   * The newest mark; `through`: an earlier mark at which a round of changes should end; `traceparents`: the spans of the
   * commits of that round.
   */
  | {
      readonly type: 'marked'
      readonly mark: Position
      readonly through?: Position
      readonly traceparents?: readonly Traceparent[]
    }
  | { readonly type: 'origins'; readonly origins: readonly Origin[] }
  | { readonly type: 'changes'; readonly candidates: readonly Candidate[]; readonly next?: string }
  | { readonly type: 'rows'; readonly rows: readonly Row[]; readonly next?: string }
  /** The store has pruned revisions that the current round still had to read. */
  | { readonly type: 'lost' }

export type OutboundEffect =
  /** `after`: the revision after which a round of changes starts. */
  | { readonly type: 'read-mark'; readonly after?: number }
  /** The origins that this store can name completely at a revision. */
  | { readonly type: 'read-origins'; readonly at: number; readonly reason: ReplaceReason }
  | { readonly type: 'read-changes'; readonly after: number; readonly through: number; readonly resume?: string }
  | { readonly type: 'read-rows'; readonly origin: Origin; readonly at: number; readonly after?: string }
  /** `idle`: the mark of a round without rows. It may wait for a moment, and a later mark replaces it. */
  | { readonly type: 'send'; readonly message: RowMessage; readonly idle?: true }

interface Round {
  /** The mark at which the round ends, fixed from its start. */
  readonly through: Position
  /** Origins that are still to be scanned; the first one is being read. Undefined in a round of changes. */
  origins: readonly Origin[] | undefined
  /** The read of the next page; undefined after the last page. */
  next: OutboundEffect | undefined
  /** Late origins that this round replaces before it sends the changes. */
  late: readonly Origin[]
  readonly pending: Delivered[]
  /** The round has sent nothing yet. */
  idle: boolean
  /** The spans of the commits of a round of changes. Its mark carries them, if the peer sees anything of the round. */
  readonly traceparents?: readonly Traceparent[]
}

/** Plain data, so that a walk can copy it. Only `outboundStep` changes it. */
export interface OutboundState {
  opened: boolean
  /** The last mark that was sent, or the initial position of the peer. */
  position: Position | undefined
  /** The newest mark of this store that was read. */
  newest: Position | undefined
  reason: ReplaceReason | undefined
  late: readonly Origin[]
  /** This store has all rows of the late origins from this revision on. */
  lateAt: number
  frameBytes: number
  /** Bytes that may be sent. One frame may overdraw it. */
  credit: number
  woken: boolean
  reading: boolean
  round: Round | undefined
}

export interface OutboundDeps {
  readonly sight: Pick<Sight, 'reach' | 'sees'>
  /** The encoded size of a row. */
  readonly measure: (delivered: Delivered) => number
}

/**
 * A link of 1 KiB/s carries the smallest frame within the silence limit. The largest frame still shares a link fairly.
 */
export const frameBytesMin = 4 * 1024
export const frameBytesMax = 64 * 1024

export const createOutbound = (): OutboundState => ({
  opened: false,
  position: undefined,
  newest: undefined,
  reason: undefined,
  late: [],
  lateAt: 0,
  frameBytes: frameBytesMin,
  credit: 0,
  woken: false,
  reading: false,
  round: undefined,
})

/**
 * The sender of a log. It works in rounds: it reads the mark R, then everything after the peer's position up to R, page
 * by page as credit allows, and ends with the mark. A mark that is newer than R starts the next round. If this store's
 * history does not hold the position of the peer, the peer gets a replacement: all rows of the named origins at a fixed
 * R.
 */
export function outboundStep(state: OutboundState, event: OutboundEvent, deps: OutboundDeps): OutboundEffect[] {
  switch (event.type) {
    case 'opened':
      state.opened = true
      state.newest = event.newest
      state.position = event.position
      state.reason = event.reason
      return startRound(state)
    case 'woken':
      state.woken = true
      return state.opened && !state.round && !state.reading ? startRound(state) : []
    case 'credited':
      state.credit += event.bytes
      state.frameBytes = Math.min(frameBytesMax, Math.max(frameBytesMin, event.frameBytes ?? state.frameBytes))
      return state.round && !state.reading ? advance(state, state.round, deps) : []
    case 'late':
      state.late = [...new Set([...state.late, ...event.origins])]
      state.lateAt = Math.max(state.lateAt, event.at)
      state.woken = true
      return state.opened && !state.round && !state.reading ? startRound(state) : []
    case 'marked':
      state.reading = false
      state.newest = event.mark
      return beginRound(state, event, deps)
    case 'origins':
      return withRound(state, (round) => {
        state.late = state.late.filter((origin) => !event.origins.includes(origin))
        return [...announce(round, event.origins, state.reason ?? 'new'), ...advance(state, round, deps)]
      })
    case 'changes':
      return withRound(state, (round) => {
        for (const candidate of event.candidates) round.pending.push(...judged(candidate, deps.sight))
        round.next = event.next === undefined ? undefined : readChanges(state, round, event.next)
        return advance(state, round, deps)
      })
    case 'rows':
      return withRound(state, (round) => {
        for (const row of event.rows) {
          if (deps.sight.sees(row)) round.pending.push({ key: row.key, state: 'live', stamp: row.stamp, row })
        }
        if (event.next === undefined) round.origins = round.origins?.slice(1)
        // The changes follow the rows of late origins, so that one mark ends both.
        round.next = readRows(round, event.next) ?? (round.late.length > 0 ? readChanges(state, round) : undefined)
        return advance(state, round, deps)
      })
    case 'lost':
      state.round = undefined
      state.reason ??= 'behind'
      return startRound(state)
    default:
      return unreachable(event)
  }
}

/** Whether the sender has nothing to send now: its round has ended, or waits for credit. */
export const isResting = ({ opened, reading, round }: OutboundState): boolean =>
  opened && !reading && (round === undefined || round.pending.length > 0)

function startRound(state: OutboundState): OutboundEffect[] {
  state.woken = false
  state.reading = true
  const isOfChanges = state.reason === undefined && state.late.length === 0
  return [{ type: 'read-mark', ...(isOfChanges && state.position ? { after: state.position.revision } : {}) }]
}

function beginRound(
  state: OutboundState,
  { mark, through: near = mark, traceparents }: Extract<OutboundEvent, { readonly type: 'marked' }>,
  deps: OutboundDeps,
): OutboundEffect[] {
  // A mark that was read before the rows of the late origins came does not have all of them. Its wake-up reads a newer
  // mark.
  const isLate = state.late.length > 0 && mark.revision >= state.lateAt
  const isOfChanges = state.reason === undefined && !isLate
  const round: Round = {
    through: isOfChanges ? near : mark,
    origins: undefined,
    next: undefined,
    late: [],
    pending: [],
    idle: true,
    ...(isOfChanges && traceparents ? { traceparents } : {}),
  }
  if (state.reason !== undefined || state.position === undefined) {
    state.reason ??= 'new'
    state.round = round
    state.reading = true
    return [{ type: 'read-origins', at: mark.revision, reason: state.reason }]
  }
  if (isLate) {
    round.late = state.late
    state.round = round
    return [...announce(round, state.late, 'late'), ...advance(state, round, deps)]
  }
  if (mark.revision <= state.position.revision) return state.woken ? startRound(state) : []
  state.round = round
  state.reading = true
  return [readChanges(state, round)]
}

/** Begins the replacement of these origins. The next read gets the first rows. */
function announce(round: Round, origins: readonly Origin[], reason: ReplaceReason): OutboundEffect[] {
  round.origins = origins
  round.idle = false
  round.next = readRows(round)
  return [{ type: 'send', message: { type: 'replace', origins, position: round.through, reason } }]
}

/** Ignores an answer for a round that has ended. */
function withRound(state: OutboundState, use: (round: Round) => OutboundEffect[]): OutboundEffect[] {
  state.reading = false
  return state.round ? use(state.round) : []
}

/** Sends as much as credit allows. Then it reads the next page or ends the round with its mark. */
function advance(state: OutboundState, round: Round, deps: OutboundDeps): OutboundEffect[] {
  const effects: OutboundEffect[] = []
  while (round.pending.length > 0 && state.credit > 0) {
    const message = takeFrame(round.pending, state.frameBytes, deps)
    state.credit -= message.bytes
    round.idle = false
    effects.push({ type: 'send', message })
  }
  if (round.pending.length > 0) return effects
  if (round.next) {
    state.reading = true
    effects.push(round.next)
    round.next = undefined
    return effects
  }
  const mark = { type: 'mark', position: round.through } as const
  const { traceparents } = round
  if (round.idle) effects.push({ type: 'send', message: mark, idle: true })
  else effects.push({ type: 'send', message: traceparents ? { ...mark, traceparents } : mark })
  state.position = round.through
  state.reason = undefined
  state.late = state.late.filter((origin) => !round.late.includes(origin))
  state.round = undefined
  const isNewest = round.through.revision >= (state.newest?.revision ?? 0)
  return state.woken || !isNewest ? [...effects, ...startRound(state)] : effects
}

function takeFrame(pending: Delivered[], frameBytes: number, deps: OutboundDeps) {
  let bytes = 0
  let count = 0
  for (const delivered of pending) {
    const size = deps.measure(delivered)
    if (count > 0 && bytes + size > frameBytes) break
    bytes += size
    count += 1
  }
  return { type: 'rows', rows: pending.splice(0, count), bytes } as const
}

/** The delivery for a changed row: the row, its deletion, that it is no longer visible to the peer, or nothing. */
function judged({ version, before }: Candidate, sight: OutboundDeps['sight']): Delivered[] {
  const { key, state, stamp, row, declared } = version
  if (row && sight.sees(row)) return [{ key, state, stamp, row }]
  const wasSeen = sight.reach(key) === 'always' || (before !== undefined && sight.sees(before))
  if (!wasSeen) return []
  return [{ key, state: row ? 'forgotten' : state, stamp, ...(declared ? { declared } : {}) }]
}

function readChanges(state: OutboundState, round: Round, resume?: string): OutboundEffect {
  const range = { after: state.position?.revision ?? 0, through: round.through.revision }
  return { type: 'read-changes', ...range, ...(resume === undefined ? {} : { resume }) }
}

function readRows(round: Round, after?: string): OutboundEffect | undefined {
  const origin = round.origins?.[0]
  if (origin === undefined) return undefined
  return { type: 'read-rows', origin, at: round.through.revision, ...(after === undefined ? {} : { after }) }
}
