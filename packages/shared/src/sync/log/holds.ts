import type { Origin, ResourceKey } from '../../resource/resource.ts'
import type { Position } from '../../store/store.ts'
import type { Delivered, Hold, ReplaceReason } from './messages.ts'

/** More rows of one kind than this, and a larger share of them, removed at once without intent look like a mistake. */
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
  /** Of a replacement that names the origin: why it is sent, and the rows here that it does not bring. */
  readonly replacement: { readonly reason: ReplaceReason; readonly missing: readonly Listed[] } | undefined
  readonly mark: Position
  /** Where the receiver stands. */
  readonly position: Position | undefined
}

/** Undeclared removals by the commit of the owner that made them, and kind. */
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

/** Whether the rows must be compared with what is here: without that many removals nothing can be held. */
export const isSuspicious = (round: Pick<RoundToJudge, 'origin' | 'rows'>): boolean =>
  [...removalsByCommit(round).values()].some((group) => group.length > removalsMax)

/** The same at the source and at a zone: what the one lets go undeclared, the other does not hold. */
export const isMass = (removed: number, total: number): boolean =>
  removed > removalsMax && removed > total * removedShareMax

/**
 * Why a round must wait for an operator; undefined if it need not. Judged per commit of its owner, however many of them a
 * round brings, and per announced replacement.
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
  // Another store is only talked to after an operator has accepted it.
  if (position && position.store !== mark.store) return undefined
  if (replacement.reason === 'diverged' && position) {
    const past = position.revision > mark.revision
    const reason = past
      ? `the store of the global is rolled back: its newest revision is ${mark.revision}, this zone has seen ${position.revision}`
      : `the store of the global has another history: it does not hold the commit of revision ${position.revision} that this zone has seen`
    return { id: `history:${mark.store}`, origin, reason: `${reason}; restored from a backup?`, removals }
  }
  // A global always has something: nothing at all is no word of it.
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
    if (!first || group.length <= removalsMax) continue
    const removed = group.filter(({ key }) => here.has(`${key.kind}/${key.mesh}/${key.name}`)).length
    const total = totals.get(first.key.kind) ?? 0
    if (!isMass(removed, total)) continue
    const { incarnation, originRevision } = first.stamp
    const reason = `revision ${originRevision} of the global removes ${removed} of ${total} ${first.key.kind} without declared intent`
    return { id: `commit:${incarnation}.${originRevision}`, origin: round.origin, reason, removals: removed }
  }
  return undefined
}
