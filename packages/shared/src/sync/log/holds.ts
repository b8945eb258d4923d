import type { Origin, ResourceKey } from '../../resource/resource.ts'
import type { Position } from '../../store/store.ts'
import type { Delivered, Hold, ReplaceReason } from './messages.ts'

/**
 * An undeclared removal of more rows of one kind than this number, and of a larger share than the next, looks like a
 * mistake.
 */
export const removalsMax = 10
export const removedShareMax = 0.3

/** A live row of the receiver. */
export interface Listed {
  readonly key: ResourceKey
  readonly incarnation: number
}

export interface RoundToJudge {
  readonly origin: Origin
  readonly rows: Iterable<Delivered>
  /** Set if a replacement names the origin: its reason, and the rows of this store that it does not contain. */
  readonly replacement: { readonly reason: ReplaceReason; readonly missing: readonly Listed[] } | undefined
  readonly mark: Position
  /** The position of the receiver. */
  readonly position: Position | undefined
}

/** Undeclared removals, grouped by kind and by the owner's commit. */
function removalsByCommit(round: Pick<RoundToJudge, 'origin' | 'rows'>): Map<string, Delivered[]> {
  const groups = new Map<string, Delivered[]>()
  for (const row of round.rows) {
    if (row.key.origin !== round.origin || row.state === 'live' || row.declared) continue
    const name = `${row.key.kind} ${row.stamp.incarnation}.${row.stamp.originRevision}`
    const group = groups.get(name)
    if (group) group.push(row)
    else groups.set(name, [row])
  }
  return groups
}

/** Whether the round must be compared with the rows of the store: only a round with many removals can be held. */
export const isSuspicious = (round: Pick<RoundToJudge, 'origin' | 'rows'>): boolean =>
  [...removalsByCommit(round).values()].some((group) => group.length > removalsMax)

/**
 * The global and its zones share this rule, so a zone never holds what the global has accepted without declared intent.
 */
export const isMass = (removed: number, total: number): boolean =>
  removed > removalsMax && removed > total * removedShareMax

/**
 * Why a round must wait for an operator; undefined if it need not. Each commit of the owner in the round is judged by
 * itself, and so is an announced replacement.
 */
export function judgeHold(round: RoundToJudge, listed: readonly Listed[]): Hold | undefined {
  const own = listed.filter(({ key }) => key.origin === round.origin)
  const totals = new Map<string, number>()
  for (const { key } of own) totals.set(key.kind, (totals.get(key.kind) ?? 0) + 1)
  return heldReplacement(round, totals) ?? heldCommit(round, totals, own)
}

function heldReplacement(round: RoundToJudge, totals: ReadonlyMap<string, number>): Hold | undefined {
  const { origin, replacement, mark, position } = round
  if (!replacement) return undefined
  const removals = replacement.missing.length
  // A session with another store begins only after an operator has accepted that store.
  if (position && position.store !== mark.store) return undefined
  if (replacement.reason === 'diverged' && position) {
    const past = position.revision > mark.revision
    const reason = past
      ? `the store of the global is rolled back: its newest revision is ${mark.revision}, this zone has seen ${position.revision}`
      : `the store of the global has another history: it does not hold the commit of revision ${position.revision} that this zone has seen`
    return { id: `history:${mark.store}`, origin, reason: `${reason}; restored from a backup?`, removals }
  }
  // A global always has rows, so a replacement without any is a fault.
  const here = [...totals.values()].reduce((sum, total) => sum + total, 0)
  if (removals > 0 && removals === here && ![...round.rows].some(({ key }) => key.origin === origin)) {
    const reason = `a replacement without a single row would remove all ${here} rows of the global`
    return { id: `replacement:${mark.store}`, origin, reason, removals }
  }
  for (const [kind, total] of totals) {
    const removed = replacement.missing.filter(({ key }) => key.kind === kind).length
    if (!isMass(removed, total)) continue
    const reason = `a replacement would remove ${removed} of ${total} ${kind}`
    return { id: `replacement:${mark.store}`, origin, reason, removals: removed }
  }
  return undefined
}

function heldCommit(
  round: RoundToJudge,
  totals: ReadonlyMap<string, number>,
  own: readonly Listed[],
): Hold | undefined {
  const here = new Set(own.map(({ key }) => `${key.kind}/${key.mesh}/${key.name}`))
  for (const group of removalsByCommit(round).values()) {
    const [first] = group
    if (!first) continue
    const removed = group.filter(({ key }) => here.has(`${key.kind}/${key.mesh}/${key.name}`)).length
    const total = totals.get(first.key.kind) ?? 0
    if (!isMass(removed, total)) continue
    const { incarnation, originRevision } = first.stamp
    const reason = `revision ${originRevision} of the global removes ${removed} of ${total} ${first.key.kind} without declared intent`
    return { id: `commit:${incarnation}.${originRevision}`, origin: round.origin, reason, removals: removed }
  }
  return undefined
}
