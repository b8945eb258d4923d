import { unreachable } from '../../base/base.ts'
import { type Traceparent, withCauses } from '../../env/trace.ts'
import { keyText, type Origin, type ResourceKey } from '../../resource/resource.ts'
import type { Change, Position } from '../../store/store.ts'
import { isSuspicious, judgeHold, type Listed } from './holds.ts'
import type { Delivered, GoodbyeCode, Hold, ReplaceReason, RowMessage } from './messages.ts'
import type { Sight } from './who-sees.ts'

export type InboundEvent =
  | RowMessage
  /** All live rows of the requested origins in this store, and the other origins with rows in this store. */
  | { readonly type: 'listed'; readonly rows: readonly Listed[]; readonly otherOrigins: readonly Origin[] }
  /** The store has committed the application. */
  | { readonly type: 'applied' }
  /** An operator releases the hold with this id. */
  | { readonly type: 'released'; readonly hold: string }

/** One round for the store, which becomes visible as a whole. */
export interface Application {
  readonly changes: readonly Change[]
  /** The encoded size of the received rows. */
  readonly bytes: number
  /** The position that the same commit writes; undefined while a part of the round is held. */
  readonly position: Position | undefined
  readonly uncovered: readonly Origin[]
  /**
   * While a part of the round is held: the unchanged position, with the origins whose rows are ahead of it. If the peer
   * loses those rows, only a replacement of these origins removes them.
   */
  readonly ahead?: { readonly position: Position; readonly uncovered: readonly Origin[] }
  /** How many rows of a former incarnation the replacement did not contain. They stay for a while. */
  readonly former: number
  /** The spans of the commits that the round consists of, the newest last. Absent if none is traced. */
  readonly causes?: readonly Traceparent[]
}

export type InboundEffect =
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'list'; readonly origins: readonly Origin[] }
  | ({ readonly type: 'apply' } & Application)
  /** The store has everything up to this position. */
  | { readonly type: 'stored'; readonly position: Position }
  | { readonly type: 'refused'; readonly keys: readonly ResourceKey[] }
  /** The current hold; undefined if there is none any longer. */
  | { readonly type: 'held'; readonly hold: Hold | undefined }
  | { readonly type: 'goodbye'; readonly code: GoodbyeCode; readonly reason: string }

interface Replacement {
  readonly origins: readonly Origin[]
  /** `origins`, and those whose replacement was applied while the owner's rows were held. */
  readonly covered: readonly Origin[]
  readonly reason: ReplaceReason
}

interface Round {
  /** The newest version of each key in the round. */
  readonly rows: Map<string, Delivered>
  /** Rows of its origins that the round does not contain are removed at the end of the round. */
  replacement: Replacement | undefined
  mark: Position | undefined
  bytes: number
  causes: readonly Traceparent[]
}

/** Plain data, so that a walk can copy it. Only `inboundStep` changes it. */
export interface InboundState {
  /** The store of the peer. A mark of another store ends the session. */
  readonly peerStore: string
  /** The last mark whose rows are all in the store. It may be ahead of the position that the store holds. */
  position: Position | undefined
  /** The position that the store holds, from which a restart would resume. */
  persistedRevision: number | undefined
  /** Origins with rows in this store that the peer's store has never named completely. */
  uncovered: readonly Origin[]
  /** Origins with rows that are newer than the position, because rows of the owner are held. */
  ahead: readonly Origin[]
  /** Rows since the last mark. */
  open: Round
  /** Rounds whose mark has arrived. If `busy`, the first one is being applied. */
  ready: Round[]
  busy: boolean
  /** The owner's rows since `position`, which wait for an operator, and the reason. */
  held: Round | undefined
  hold: Hold | undefined
  released: string | undefined
}

export interface InboundDeps {
  readonly sight: Pick<Sight, 'maySend' | 'accepts'>
  /** Staged bytes at which the session ends: a peer that never sends a mark must not fill the memory. */
  readonly stagedBytesMax: number
  /** A position without rows is written once it is this many revisions ahead. Idle planes must not cause commits. */
  readonly driftMax: number
  /** The peer's own origin. A replacement of it wins regardless of the stamps. */
  readonly owner: Origin
  /** Holds rows of the owner if they would remove too much or come from another history. */
  readonly holds: boolean
  /** Rows of the owner below this incarnation stay for a while after a replacement without them. */
  readonly formerBelow: number
  /** The peer also sends rows of other origins. */
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
  ahead: [],
  open: emptyRound(),
  ready: [],
  busy: false,
  held: undefined,
  hold: undefined,
  released: undefined,
})

const emptyRound = (): Round => ({ rows: new Map(), replacement: undefined, mark: undefined, bytes: 0, causes: [] })

/**
 * The receiver of a log. It stages rows until their mark, then commits the whole round together with the new position.
 * It refuses each row that the peer may not send. At its end, and not before, a replacement removes rows of its origins
 * that it did not contain. A mark at or below the position is a replay and changes nothing. Held rows of the owner stay
 * staged, and the position does not move; relayed rows of other origins continue.
 */
export function inboundStep(state: InboundState, event: InboundEvent, deps: InboundDeps): InboundEffect[] {
  switch (event.type) {
    case 'rows':
      return stage(state, event.rows, event.bytes, deps)
    case 'replace': {
      const origins = event.origins.filter(deps.sight.maySend)
      state.open = { ...emptyRound(), replacement: { origins, covered: origins, reason: event.reason } }
      return []
    }
    case 'mark':
      return endRound(state, event, deps)
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
      // A release of another hold, or of a later one, has no effect.
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
    const reason = `staged ${staged} bytes without a mark, more than the limit of ${deps.stagedBytesMax}`
    return [{ type: 'goodbye', code: 'too-large', reason }]
  }
  const effects: InboundEffect[] = [{ type: 'credit', bytes }]
  return refused.length > 0 ? [{ type: 'refused', keys: refused }, ...effects] : effects
}

function endRound(
  state: InboundState,
  { position: mark, traceparents = [] }: Extract<RowMessage, { readonly type: 'mark' }>,
  deps: InboundDeps,
): InboundEffect[] {
  if (mark.store !== state.peerStore) {
    const reason = `a mark of store ${mark.store} in a session with store ${state.peerStore}`
    return [{ type: 'goodbye', code: 'protocol', reason }]
  }
  const round = state.open
  state.open = emptyRound()
  round.mark = mark
  round.causes = traceparents
  const newest = state.ready.at(-1)?.mark ?? state.held?.mark ?? state.position
  if (!round.replacement && newest?.store === mark.store && mark.revision <= newest.revision) return []
  const last = state.ready.at(-1)
  // Rounds that wait for the store are merged: each mark is a snapshot, so the last mark of several is one too.
  if (last && !round.replacement && !(state.busy && state.ready.length === 1)) {
    for (const [text, row] of round.rows) last.rows.set(text, row)
    last.bytes += round.bytes
    last.causes = withCauses(last.causes, round.causes)
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

/**
 * Applies a round of other origins while the owner's rows are held. The hold takes over the mark; the position stays.
 */
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

/** Merges the held round with the next one. A new replacement of the owner supersedes the held round. */
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
    causes: withCauses(held.causes, next.causes),
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
  // While the owner's rows are held, a round without rows of the owner is not judged.
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
  // A release counts once, because the next hold of a replacement may have the same id.
  state.released = undefined
  const effects: InboundEffect[] = state.hold ? [{ type: 'held', hold: undefined }] : []
  state.hold = undefined
  if (replacement && deps.relays) {
    const former = replacement.reason === 'late' ? state.uncovered : here.otherOrigins
    state.uncovered = former.filter((origin) => !replacement.covered.includes(origin))
  }
  return [...effects, application(state, round, missing, round.mark, deps)]
}

/** Splits a round: the owner's rows stay staged, the rest is applied. */
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
  const forced = forcedOrigins(round, deps)
  const forgotten = missing.filter((row) => !stays(row)).map(({ key }): Change => ({ op: 'forget', key }))
  const changes = [...changesOf(round, forced), ...forgotten]
  state.ahead = position ? [] : [...new Set([...state.ahead, ...changes.map(({ key }) => key.origin)])]
  const uncovered = [...new Set([...state.uncovered, ...state.ahead])]
  return {
    type: 'apply',
    changes,
    bytes: round.bytes,
    position,
    uncovered: state.uncovered,
    ...(position || !state.position ? {} : { ahead: { position: state.position, uncovered } }),
    former: missing.length - forgotten.length,
    ...(round.causes.length > 0 ? { causes: round.causes } : {}),
  }
}

/**
 * A round without rows moves the position in memory only. If each of them were written, that commit would be a round
 * without rows for the peer, and both planes would write for ever.
 */
const isNear = (state: InboundState, mark: Position, deps: InboundDeps) =>
  state.persistedRevision !== undefined && mark.revision - state.persistedRevision < deps.driftMax

/**
 * The origins whose rows in a replacement win regardless of the stamps: the owner, and relayed origins of which the peer
 * has all rows. Without this, the tombstones of a history that such an origin has lost would win over its rows.
 */
function forcedOrigins({ replacement }: Round, deps: InboundDeps): ReadonlySet<Origin> {
  if (!replacement) return new Set()
  const isComplete = replacement.reason === 'diverged' || replacement.reason === 'late'
  return new Set(replacement.origins.filter((origin) => isComplete || origin === deps.owner))
}

const changesOf = (round: Round, forcedOrigins: ReadonlySet<Origin>): Change[] =>
  [...round.rows.values()].map(({ key, state, stamp, row, declared }): Change => {
    // In a history that an operator has accepted, a removal may have an older stamp than the row, and it must still
    // win.
    if (state === 'forgotten' || (state === 'deleted' && forcedOrigins.has(key.origin))) return { op: 'forget', key }
    if (state === 'deleted' || !row) return { op: 'delete', key, stamp, ...(declared ? { declared: true } : {}) }
    const forced = forcedOrigins.has(key.origin) ? ({ forced: true } as const) : {}
    return { op: 'put', key, labels: row.labels, spec: row.spec, stamp, ...forced }
  })
