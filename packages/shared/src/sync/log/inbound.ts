import { unreachable } from '../../base/base.ts'
import { keyText, type Origin, type ResourceKey } from '../../resource/resource.ts'
import type { Change, Position } from '../../store/store.ts'
import type { Delivered, GoodbyeCode, RowMessage } from './messages.ts'
import type { Sight } from './who-sees.ts'

export type InboundEvent =
  | RowMessage
  /** The keys of all live rows here of the origins that were asked for. */
  | { readonly type: 'listed'; readonly keys: readonly ResourceKey[] }
  /** The round that was given to the store is durable. */
  | { readonly type: 'applied' }

export type InboundEffect =
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'list'; readonly origins: readonly Origin[] }
  /** One round: all of it becomes visible at once, and the position with it. */
  | { readonly type: 'apply'; readonly changes: readonly Change[]; readonly position: Position }
  /** Everything up to here is in the store. */
  | { readonly type: 'stored'; readonly position: Position }
  | { readonly type: 'refused'; readonly keys: readonly ResourceKey[] }
  | { readonly type: 'goodbye'; readonly code: GoodbyeCode; readonly reason: string }

interface Round {
  /** The newest of each key that the round brought. */
  readonly rows: Map<string, Delivered>
  /** Set in a replacement: what the round does not name of these origins goes at its end. */
  origins: readonly Origin[] | undefined
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
  /** Rows since the last mark. */
  open: Round
  /** Rounds that came with their mark, the first one being applied if `busy`. */
  ready: Round[]
  busy: boolean
}

export interface InboundDeps {
  readonly sight: Pick<Sight, 'speaksFor' | 'accepts'>
  /** Staged bytes at which the session ends: a peer that never sends a mark must not fill the memory. */
  readonly stagedBytesMax: number
  /** The place is written down without rows once it is so many revisions ahead: a rest between two planes stays a rest. */
  readonly driftMax: number
  /** A peer that knows another history may not remove anything here until an operator says so. */
  readonly refusesDiverged: boolean
}

export const inboundDefaults: Pick<InboundDeps, 'stagedBytesMax' | 'driftMax'> = {
  stagedBytesMax: 256 * 1024 * 1024,
  driftMax: 1000,
}

export const createInbound = (peerStore: string, position: Position | undefined): InboundState => ({
  peerStore,
  position,
  persistedRevision: position?.revision,
  open: emptyRound(),
  ready: [],
  busy: false,
})

const emptyRound = (): Round => ({ rows: new Map(), origins: undefined, mark: undefined, bytes: 0 })

/**
 * The receiving end of a log. It stages rows until their mark, then gives the whole round to the store together with the new
 * position. Rows that the peer may not speak for are refused one by one. A replacement removes, at its end only, rows of
 * the origins it names that it did not bring. A mark at or below the position is a replay and changes nothing.
 */
export function inboundStep(state: InboundState, event: InboundEvent, deps: InboundDeps): InboundEffect[] {
  switch (event.type) {
    case 'rows':
      return stage(state, event.rows, event.bytes, deps)
    case 'replace': {
      if (event.reason === 'diverged' && deps.refusesDiverged && state.position) {
        const reason = `the store ${event.position.store} went another way after revision ${state.position.revision} that this store has seen: restored from a backup?`
        return [{ type: 'goodbye', code: 'diverged', reason }]
      }
      const allowed = event.origins.filter(deps.sight.speaksFor)
      state.open = { ...emptyRound(), origins: allowed }
      return []
    }
    case 'mark':
      return endRound(state, event.position, deps)
    case 'listed': {
      const round = state.ready[0]
      if (!round?.mark) return []
      const origins = new Set(round.origins)
      const missing = event.keys.filter(
        (key) => origins.has(key.origin) && deps.sight.accepts(key) && !round.rows.has(keyText(key)),
      )
      const changes = [...changesOf(round), ...missing.map((key): Change => ({ op: 'forget', key }))]
      return [{ type: 'apply', changes, position: round.mark }]
    }
    case 'applied': {
      const mark = state.ready.shift()?.mark
      state.busy = false
      if (!mark) return []
      state.position = mark
      state.persistedRevision = mark.revision
      return [{ type: 'stored', position: mark }, ...applyNext(state, deps)]
    }
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
  const staged = state.ready.reduce((sum, round) => sum + round.bytes, state.open.bytes)
  if (staged > deps.stagedBytesMax) {
    return [
      {
        type: 'goodbye',
        code: 'too-large',
        reason: `${staged} bytes without a mark are more than ${deps.stagedBytesMax}`,
      },
    ]
  }
  const effects: InboundEffect[] = [{ type: 'credit', bytes }]
  return refused.length > 0 ? [{ type: 'refused', keys: refused }, ...effects] : effects
}

function endRound(state: InboundState, mark: Position, deps: InboundDeps): InboundEffect[] {
  if (mark.store !== state.peerStore) {
    return [
      {
        type: 'goodbye',
        code: 'protocol',
        reason: `a mark of store ${mark.store} in a session with store ${state.peerStore}`,
      },
    ]
  }
  const round = state.open
  state.open = emptyRound()
  round.mark = mark
  const newest = state.ready.at(-1)?.mark ?? state.position
  if (!round.origins && newest?.store === mark.store && mark.revision <= newest.revision) return []
  const last = state.ready.at(-1)
  // Rounds that wait for the store become one: each mark is a snapshot, so is the last of several.
  if (last && !round.origins && !(state.busy && state.ready.length === 1)) {
    for (const [text, row] of round.rows) last.rows.set(text, row)
    last.bytes += round.bytes
    last.mark = mark
  } else state.ready.push(round)
  return applyNext(state, deps)
}

function applyNext(state: InboundState, deps: InboundDeps): InboundEffect[] {
  const round = state.ready[0]
  if (state.busy || !round?.mark) return []
  if (!round.origins && round.rows.size === 0 && isNear(state, round.mark, deps)) {
    state.ready.shift()
    state.position = round.mark
    return [{ type: 'stored', position: round.mark }, ...applyNext(state, deps)]
  }
  state.busy = true
  if (round.origins) return [{ type: 'list', origins: round.origins }]
  return [{ type: 'apply', changes: changesOf(round), position: round.mark }]
}

/**
 * A round without rows moves the position in memory only. Were it written each time, the write would be a commit here, which
 * is a round without rows for the peer, and so on for ever.
 */
const isNear = (state: InboundState, mark: Position, deps: InboundDeps) =>
  state.persistedRevision !== undefined && mark.revision - state.persistedRevision < deps.driftMax

const changesOf = (round: Round): Change[] =>
  [...round.rows.values()].map(({ key, state, stamp, row }): Change => {
    if (state === 'forgotten') return { op: 'forget', key }
    if (state === 'deleted' || !row) return { op: 'delete', key, stamp }
    return { op: 'put', key, labels: row.labels, spec: row.spec, stamp }
  })
