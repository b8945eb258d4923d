import { unreachable } from '../../base/base.ts'
import { keyText, type Origin, type ResourceKey } from '../../resource/resource.ts'
import type { Change, Position } from '../../store/store.ts'
import { isSuspicious, judgeHold, type Listed } from './holds.ts'
import type { Delivered, GoodbyeCode, Hold, ReplaceReason, RowMessage } from './messages.ts'
import type { Sight } from './who-sees.ts'

export type InboundEvent =
  | RowMessage
  /** All live rows here of the origins that were asked for, and the other origins that rows here have. */
  | { readonly type: 'listed'; readonly rows: readonly Listed[]; readonly otherOrigins: readonly Origin[] }
  /** What was given to the store is durable. */
  | { readonly type: 'applied' }
  /** An operator lets through what is held under this id. */
  | { readonly type: 'released'; readonly hold: string }

/** One round for the store: all of it becomes visible at once. */
export interface Application {
  readonly changes: readonly Change[]
  /** Of the rows that came, as they came. */
  readonly bytes: number
  /** Moved in the same commit; undefined while a part of the round is held. */
  readonly position: Position | undefined
  readonly uncovered: readonly Origin[]
  /** Rows of a former incarnation of the peer that a replacement did not bring: they stay for a while. */
  readonly former: number
}

export type InboundEffect =
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'list'; readonly origins: readonly Origin[] }
  | ({ readonly type: 'apply' } & Application)
  /** Everything up to here is in the store. */
  | { readonly type: 'stored'; readonly position: Position }
  | { readonly type: 'refused'; readonly keys: readonly ResourceKey[] }
  /** What is held now; undefined: nothing any more. */
  | { readonly type: 'held'; readonly hold: Hold | undefined }
  | { readonly type: 'goodbye'; readonly code: GoodbyeCode; readonly reason: string }

interface Replacement {
  readonly origins: readonly Origin[]
  /** These, and those of it that were applied while the owner's rows were held. */
  readonly covered: readonly Origin[]
  readonly reason: ReplaceReason
}

interface Round {
  /** The newest of each key that the round brought. */
  readonly rows: Map<string, Delivered>
  /** What the round does not name of these origins goes at its end. */
  replacement: Replacement | undefined
  mark: Position | undefined
  bytes: number
}

/** Plain data, so that a walk can copy it. Only `inboundStep` changes it. */
export interface InboundState {
  /** The store of the peer: no other's marks are taken. */
  readonly peerStore: string
  /** The last mark that is in the store, or that needs nothing to be. */
  position: Position | undefined
  /** The position that the store itself would tell after a restart. */
  persistedRevision: number | undefined
  /** Origins of which rows are here that the peer's store has never named completely. */
  uncovered: readonly Origin[]
  /** Rows since the last mark. */
  open: Round
  /** Rounds that came with their mark, the first one being applied if `busy`. */
  ready: Round[]
  busy: boolean
  /** The rows that wait for an operator, all since `position`, and why. */
  held: Round | undefined
  hold: Hold | undefined
  released: string | undefined
}

export interface InboundDeps {
  readonly sight: Pick<Sight, 'speaksFor' | 'accepts'>
  /** Staged bytes at which the session ends: a peer that never sends a mark must not fill the memory. */
  readonly stagedBytesMax: number
  /** The place is written down without rows once it is so many revisions ahead: a rest between two planes stays a rest. */
  readonly driftMax: number
  /** The peer's own origin: in a replacement of it the owner's word counts whatever the stamps are. */
  readonly owner: Origin
  /** Rows of the owner are held when they would remove too much, or come from another history than was known. */
  readonly holds: boolean
  /** Rows of the owner below this incarnation outlive a replacement for a while. */
  readonly formerBelow: number
  /** Other origins than the owner's come from this peer too. */
  readonly relays: boolean
}

export const inboundDefaults: Pick<InboundDeps, 'stagedBytesMax' | 'driftMax' | 'formerBelow'> = {
  stagedBytesMax: 256 * 1024 * 1024,
  driftMax: 1000,
  formerBelow: 0,
}

export const createInbound = (
  peerStore: string,
  position: Position | undefined,
  uncovered: readonly Origin[] = [],
): InboundState => ({
  peerStore,
  position,
  persistedRevision: position?.revision,
  uncovered,
  open: emptyRound(),
  ready: [],
  busy: false,
  held: undefined,
  hold: undefined,
  released: undefined,
})

const emptyRound = (): Round => ({ rows: new Map(), replacement: undefined, mark: undefined, bytes: 0 })

/**
 * The receiving end of a log. It stages rows until their mark, then gives the whole round to the store together with the new
 * position. Rows that the peer may not speak for are refused one by one. A replacement removes, at its end only, rows of
 * the origins it names that it did not bring. A mark at or below the position is a replay and changes nothing. Rows of the
 * owner that are held stay staged, and the position with them; rows that it relays go on.
 */
export function inboundStep(state: InboundState, event: InboundEvent, deps: InboundDeps): InboundEffect[] {
  switch (event.type) {
    case 'rows':
      return stage(state, event.rows, event.bytes, deps)
    case 'replace': {
      const origins = event.origins.filter(deps.sight.speaksFor)
      state.open = { ...emptyRound(), replacement: { origins, covered: origins, reason: event.reason } }
      return []
    }
    case 'mark':
      return endRound(state, event.position, deps)
    case 'listed':
      return state.ready[0] ? judge(state, state.ready[0], event, deps) : []
    case 'applied': {
      const mark = state.ready.shift()?.mark
      state.busy = false
      if (!mark || state.held) return applyNext(state, deps)
      state.position = mark
      state.persistedRevision = mark.revision
      return [{ type: 'stored', position: mark }, ...applyNext(state, deps)]
    }
    case 'released':
      // A word about something else, or about what is still to come, lets nothing through.
      if (event.hold !== state.hold?.id) return []
      state.released = event.hold
      return state.busy ? [] : applyNext(state, deps)
    default:
      return unreachable(event)
  }
}

function stage(state: InboundState, rows: readonly Delivered[], bytes: number, deps: InboundDeps): InboundEffect[] {
  const refused: ResourceKey[] = []
  for (const row of rows) {
    if (deps.sight.accepts(row.key)) state.open.rows.set(keyText(row.key), row)
    else refused.push(row.key)
  }
  state.open.bytes += bytes
  const waiting = state.ready.reduce((sum, round) => sum + round.bytes, state.held?.bytes ?? 0)
  const staged = waiting + state.open.bytes
  if (staged > deps.stagedBytesMax) {
    const reason = `${staged} bytes without a mark are more than ${deps.stagedBytesMax}`
    return [{ type: 'goodbye', code: 'too-large', reason }]
  }
  const effects: InboundEffect[] = [{ type: 'credit', bytes }]
  return refused.length > 0 ? [{ type: 'refused', keys: refused }, ...effects] : effects
}

function endRound(state: InboundState, mark: Position, deps: InboundDeps): InboundEffect[] {
  if (mark.store !== state.peerStore) {
    const reason = `a mark of store ${mark.store} in a session with store ${state.peerStore}`
    return [{ type: 'goodbye', code: 'protocol', reason }]
  }
  const round = state.open
  state.open = emptyRound()
  round.mark = mark
  const newest = state.ready.at(-1)?.mark ?? state.held?.mark ?? state.position
  if (!round.replacement && newest?.store === mark.store && mark.revision <= newest.revision) return []
  const last = state.ready.at(-1)
  // Rounds that wait for the store become one: each mark is a snapshot, so is the last of several.
  if (last && !round.replacement && !(state.busy && state.ready.length === 1)) {
    for (const [text, row] of round.rows) last.rows.set(text, row)
    last.bytes += round.bytes
    last.mark = mark
  } else state.ready.push(round)
  return applyNext(state, deps)
}

function applyNext(state: InboundState, deps: InboundDeps): InboundEffect[] {
  if (state.busy) return []
  if (state.held && state.hold?.id === state.released) {
    state.ready.unshift(state.held)
    state.held = undefined
  }
  const next = state.ready[0]
  if (!next?.mark) return []
  if (state.held && !isOfOwner(next, deps)) return pastTheHold(state, state.held, next, deps)
  const round = state.held ? together(state.held, next, deps) : next
  state.ready[0] = round
  state.held = undefined
  if (!round.replacement && round.rows.size === 0 && isNear(state, next.mark, deps)) {
    state.ready.shift()
    state.position = next.mark
    return [{ type: 'stored', position: next.mark }, ...applyNext(state, deps)]
  }
  state.busy = true
  if (round.replacement) return [{ type: 'list', origins: round.replacement.origins }]
  if (deps.holds && isSuspicious({ origin: deps.owner, rows: round.rows.values() }))
    return [{ type: 'list', origins: [deps.owner] }]
  return judge(state, round, { rows: [], otherOrigins: [] }, deps)
}

/** Rows of others go on while the owner's wait: the hold keeps the position, and moves on with the mark. */
function pastTheHold(state: InboundState, held: Round, next: Round, deps: InboundDeps): InboundEffect[] {
  held.mark = next.mark
  if (next.replacement) {
    state.busy = true
    return [{ type: 'list', origins: next.replacement.origins }]
  }
  if (next.rows.size === 0) {
    state.ready.shift()
    return applyNext(state, deps)
  }
  state.busy = true
  return [application(state, next, [], undefined, deps)]
}

const isOfOwner = (round: Round, deps: InboundDeps) =>
  round.replacement?.origins.includes(deps.owner) ||
  [...round.rows.values()].some(({ key }) => key.origin === deps.owner)

/** What was held and what came after it. A new replacement of the owner makes the former worthless. */
function together(held: Round, next: Round, deps: InboundDeps): Round {
  if (next.replacement?.origins.includes(deps.owner)) return next
  const both = (of: 'origins' | 'covered') => [
    ...new Set([...(held.replacement?.[of] ?? []), ...(next.replacement?.[of] ?? [])]),
  ]
  const origins = both('origins')
  const reason = held.replacement?.reason ?? next.replacement?.reason ?? 'late'
  return {
    rows: new Map([...held.rows, ...next.rows]),
    replacement: origins.length > 0 ? { origins, covered: both('covered'), reason } : undefined,
    mark: next.mark,
    bytes: held.bytes + next.bytes,
  }
}

function judge(
  state: InboundState,
  round: Round,
  here: { readonly rows: readonly Listed[]; readonly otherOrigins: readonly Origin[] },
  deps: InboundDeps,
): InboundEffect[] {
  if (!round.mark) return []
  const named = new Set(round.replacement?.origins)
  const missing = here.rows.filter(
    ({ key }) => named.has(key.origin) && deps.sight.accepts(key) && !round.rows.has(keyText(key)),
  )
  const { replacement } = round
  // While the owner's rows are held already, what goes past them is not judged.
  if (state.held) {
    state.uncovered = state.uncovered.filter((origin) => !named.has(origin))
    return [application(state, round, missing, undefined, deps)]
  }
  const ofOwner = {
    origin: deps.owner,
    rows: round.rows.values(),
    replacement:
      replacement && named.has(deps.owner)
        ? { reason: replacement.reason, missing: missing.filter(({ key }) => key.origin === deps.owner) }
        : undefined,
    mark: round.mark,
    position: state.position,
  }
  const hold = deps.holds && here.rows.length > 0 ? judgeHold(ofOwner, here.rows) : undefined
  if (hold && hold.id !== state.released) return keepBack(state, round, missing, hold, deps)
  // It counts once: the next replacement that removes so much may have the same id.
  state.released = undefined
  const effects: InboundEffect[] = state.hold ? [{ type: 'held', hold: undefined }] : []
  state.hold = undefined
  if (replacement && deps.relays) {
    const former = replacement.reason === 'late' ? state.uncovered : here.otherOrigins
    state.uncovered = former.filter((origin) => !replacement.covered.includes(origin))
  }
  return [...effects, application(state, round, missing, round.mark, deps)]
}

/** Splits a round: what the owner says stays staged, the rest is applied. */
function keepBack(
  state: InboundState,
  round: Round,
  missing: readonly Listed[],
  hold: Hold,
  deps: InboundDeps,
): InboundEffect[] {
  const isHeld = ({ key }: { readonly key: ResourceKey }) => key.origin === deps.owner
  const rows = [...round.rows]
  const { replacement } = round
  state.held = {
    ...round,
    rows: new Map(rows.filter(([, row]) => isHeld(row))),
    replacement: replacement?.origins.includes(deps.owner) ? { ...replacement, origins: [deps.owner] } : undefined,
  }
  const rest: Round = { ...round, rows: new Map(rows.filter(([, row]) => !isHeld(row))) }
  const effects: InboundEffect[] = state.hold?.id === hold.id ? [] : [{ type: 'held', hold }]
  state.hold = hold
  const goes = missing.filter((row) => !isHeld(row))
  state.ready[0] = rest
  if (rest.rows.size > 0 || goes.length > 0) return [...effects, application(state, rest, goes, undefined, deps)]
  state.ready.shift()
  state.busy = false
  return [...effects, ...applyNext(state, deps)]
}

function application(
  state: InboundState,
  round: Round,
  missing: readonly Listed[],
  position: Position | undefined,
  deps: InboundDeps,
): InboundEffect {
  const stays = ({ key, incarnation }: Listed) => key.origin === deps.owner && incarnation < deps.formerBelow
  const forced = round.replacement?.origins.includes(deps.owner) ? deps.owner : undefined
  const forgotten = missing.filter((row) => !stays(row)).map(({ key }): Change => ({ op: 'forget', key }))
  const changes = [...changesOf(round, forced), ...forgotten]
  return {
    type: 'apply',
    changes,
    bytes: round.bytes,
    position,
    uncovered: state.uncovered,
    former: missing.length - forgotten.length,
  }
}

/**
 * A round without rows moves the position in memory only. Were it written each time, the write would be a commit here, which
 * is a round without rows for the peer, and so on for ever.
 */
const isNear = (state: InboundState, mark: Position, deps: InboundDeps) =>
  state.persistedRevision !== undefined && mark.revision - state.persistedRevision < deps.driftMax

const changesOf = (round: Round, forcedOrigin: Origin | undefined): Change[] =>
  [...round.rows.values()].map(({ key, state, stamp, row, declared }): Change => {
    // The stamp of a removal in a history that was accepted may be the older one, and the removal counts all the same.
    if (state === 'forgotten' || (state === 'deleted' && key.origin === forcedOrigin)) return { op: 'forget', key }
    if (state === 'deleted' || !row) return { op: 'delete', key, stamp, ...(declared ? { declared: true } : {}) }
    const forced = key.origin === forcedOrigin ? ({ forced: true } as const) : {}
    return { op: 'put', key, labels: row.labels, spec: row.spec, stamp, ...forced }
  })
