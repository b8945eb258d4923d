import { unreachable } from '../../base/base.ts'
import type { Origin, Row } from '../../resource/resource.ts'
import type { Position, Version } from '../../store/store.ts'
import type { Delivered, ReplaceReason, RowMessage } from './messages.ts'
import type { Sight } from './who-sees.ts'

/** A version to judge; `before` is what the reader may hold of it, read only where sight depends on the row. */
export interface Candidate {
  readonly version: Version
  readonly before?: Row
}

export type OutboundEvent =
  /** The peer told its position, and this store what it thinks of it. Once, and first. */
  | {
      readonly type: 'opened'
      readonly position: Position | undefined
      readonly reason: ReplaceReason | undefined
      /** The newest mark here at this moment. */
      readonly newest: Position
    }
  | { readonly type: 'woken' }
  /** `frameBytes`: about what the link carries in a second, where that is known. */
  | { readonly type: 'credited'; readonly bytes: number; readonly frameBytes?: number }
  /** This store has come to know all rows of origins that the reader had rows of before. */
  | { readonly type: 'late'; readonly origins: readonly Origin[] }
  /** Answers to the reads: exactly one is under way at a time. */
  /** The newest mark; `through`: an earlier one that is far enough for one round of changes. */
  | { readonly type: 'marked'; readonly mark: Position; readonly through?: Position }
  | { readonly type: 'origins'; readonly origins: readonly Origin[] }
  | { readonly type: 'changes'; readonly candidates: readonly Candidate[]; readonly next?: string }
  | { readonly type: 'rows'; readonly rows: readonly Row[]; readonly next?: string }
  /** The horizon has passed the round that is being read. */
  | { readonly type: 'lost' }

export type OutboundEffect =
  /** `after`: where a round of changes begins. */
  | { readonly type: 'read-mark'; readonly after?: number }
  /** The origins that this store can name completely at a revision. */
  | { readonly type: 'read-origins'; readonly at: number; readonly reason: ReplaceReason }
  | { readonly type: 'read-changes'; readonly after: number; readonly through: number; readonly resume?: string }
  | { readonly type: 'read-rows'; readonly origin: Origin; readonly at: number; readonly after?: string }
  /** `idle`: the mark of a round without rows. It may wait for a while, and a later mark makes it needless. */
  | { readonly type: 'send'; readonly message: RowMessage; readonly idle?: true }

interface Round {
  /** Fixed from the start of the round to its end: the mark that it ends in. */
  readonly through: Position
  /** Origins still to be scanned, the first one being read; undefined in a round of changes. */
  origins: readonly Origin[] | undefined
  /** Where the next page starts; undefined after the last one. */
  next: OutboundEffect | undefined
  /** Origins that are announced beside the changes. */
  late: readonly Origin[]
  /** The changes are still to be read, behind the rows of late origins. */
  changesFollow: boolean
  readonly pending: Delivered[]
  /** Nothing of it has been sent yet. */
  idle: boolean
}

/** Plain data, so that a walk can copy it. Only `outboundStep` changes it. */
export interface OutboundState {
  opened: boolean
  /** The last mark sent, or that the peer came with. */
  position: Position | undefined
  /** The newest mark of this store that is known. */
  newest: Position | undefined
  reason: ReplaceReason | undefined
  late: readonly Origin[]
  frameBytes: number
  /** Bytes that may be sent; one frame may overdraw it. */
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

/** A link of 1 KiB/s carries the smallest frame before anybody doubts it; the largest is small enough to share a link fairly. */
export const frameBytesMin = 4 * 1024
export const frameBytesMax = 64 * 1024

export const createOutbound = (): OutboundState => ({
  opened: false,
  position: undefined,
  newest: undefined,
  reason: undefined,
  late: [],
  frameBytes: frameBytesMin,
  credit: 0,
  woken: false,
  reading: false,
  round: undefined,
})

/**
 * The sending end of a log. It moves in rounds: reads the mark R, then everything after the peer's position up to R, page by
 * page as credit allows, and ends with the mark. A mark that is newer than R, known before or after, starts the next round. A peer whose
 * position is of no use here gets a replacement: all rows of the origins that it names, at a fixed R.
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
      state.woken = true
      return state.opened && !state.round && !state.reading ? startRound(state) : []
    case 'marked':
      state.reading = false
      state.newest = event.mark
      return beginRound(state, event.mark, event.through ?? event.mark)
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
        round.next = readRows(round, event.next) ?? changesAfter(state, round)
        return advance(state, round, deps)
      })
    case 'lost':
      state.reading = false
      state.round = undefined
      state.reason ??= 'behind'
      return startRound(state)
    default:
      return unreachable(event)
  }
}

function startRound(state: OutboundState): OutboundEffect[] {
  state.woken = false
  state.reading = true
  const isOfChanges = state.reason === undefined && state.late.length === 0
  return [{ type: 'read-mark', ...(isOfChanges && state.position ? { after: state.position.revision } : {}) }]
}

function beginRound(state: OutboundState, mark: Position, near: Position): OutboundEffect[] {
  const isOfChanges = state.reason === undefined && state.late.length === 0
  const round: Round = {
    through: isOfChanges ? near : mark,
    origins: undefined,
    next: undefined,
    late: [],
    changesFollow: false,
    pending: [],
    idle: true,
  }
  if (state.reason !== undefined || state.position === undefined) {
    state.reason ??= 'new'
    state.round = round
    state.reading = true
    return [{ type: 'read-origins', at: mark.revision, reason: state.reason }]
  }
  if (state.late.length > 0) {
    const effects = announce(round, state.late, 'late')
    round.late = state.late
    round.changesFollow = true
    state.round = round
    state.reading = true
    const first = round.next ?? changesAfter(state, round)
    round.next = undefined
    return first ? [...effects, first] : effects
  }
  if (mark.revision <= state.position.revision) return state.woken ? startRound(state) : []
  state.round = round
  state.reading = true
  return [readChanges(state, round, undefined)]
}

/** Opens the replacement of these origins, and reads the first rows next. */
function announce(round: Round, origins: readonly Origin[], reason: ReplaceReason): OutboundEffect[] {
  round.origins = origins
  round.idle = false
  round.next = readRows(round, undefined)
  return [{ type: 'send', message: { type: 'replace', origins, position: round.through, reason } }]
}

/** Behind the rows of late origins comes what has changed: the round ends in one mark. */
function changesAfter(state: OutboundState, round: Round): OutboundEffect | undefined {
  if (!round.changesFollow) return undefined
  round.changesFollow = false
  return readChanges(state, round, undefined)
}

/** An answer that comes for a round that is over is of no use to anybody. */
function withRound(state: OutboundState, use: (round: Round) => OutboundEffect[]): OutboundEffect[] {
  state.reading = false
  return state.round ? use(state.round) : []
}

/** Sends what credit allows; then reads the next page, or ends the round with its mark. */
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
  effects.push(round.idle ? { type: 'send', message: mark, idle: true } : { type: 'send', message: mark })
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

/** What the peer is told of a changed row: itself, its end, that it went out of sight, or nothing. */
function judged({ version, before }: Candidate, sight: OutboundDeps['sight']): Delivered[] {
  const { key, state, stamp, row, declared } = version
  const reach = sight.reach(key)
  if (reach === 'never') return []
  if (row && sight.sees(row)) return [{ key, state, stamp, row }]
  const wasSeen = reach === 'always' || (before !== undefined && sight.sees(before))
  if (!wasSeen) return []
  return [{ key, state: row ? 'forgotten' : state, stamp, ...(declared ? { declared } : {}) }]
}

function readChanges(state: OutboundState, round: Round, resume: string | undefined): OutboundEffect {
  const range = { after: state.position?.revision ?? 0, through: round.through.revision }
  return { type: 'read-changes', ...range, ...(resume === undefined ? {} : { resume }) }
}

function readRows(round: Round, after: string | undefined): OutboundEffect | undefined {
  const origin = round.origins?.[0]
  if (origin === undefined) return undefined
  return { type: 'read-rows', origin, at: round.through.revision, ...(after === undefined ? {} : { after }) }
}
