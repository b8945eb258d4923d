import { isDeepStrictEqual } from 'node:util'
import type { Random } from '../env/random.ts'
import type { Traceparent } from '../env/trace.ts'
import { isNewer, keyText, type ResourceKey, type Stamp } from '../resource/resource.ts'
import type { Change, Commit, CommitOutcome, Expect, Position, Version } from './store.ts'

/** The largest commit that a store accepts. */
export const changesPerCommitMax = 1000

interface PlanContext {
  /**
   * The newest version of a key, including the commits of this round before this one. `withRow` is false if the stamp
   * alone decides, so the row need not be read.
   */
  newest(text: string, withRow: boolean): Version | undefined
  readonly incarnation: number
  /** The revision that this commit gets if it writes anything. */
  readonly revision: number
  readonly nowMs: number
}

/** The context of all parts of a round. Each part that writes something gets the next revision. */
export interface RoundContext extends Omit<PlanContext, 'revision'> {
  readonly head: Position
  /** The round is refused if the head is at another revision. */
  readonly expectedHead?: number | undefined
  readonly random: Pick<Random, 'bytes'>
}

/** One part of a round that writes something. */
export interface PlannedCommit {
  readonly position: Position
  readonly subject: string
  readonly intent: string
  readonly atMs: number
  readonly versions: readonly Version[]
  readonly traceparent?: Traceparent
}

export interface RoundPlan {
  readonly outcome: CommitOutcome
  /** Empty when the round is refused or changes nothing. */
  readonly commits: readonly PlannedCommit[]
}

/**
 * Plans the writes of a round. Each part builds on the former ones. If one part is refused, the round writes nothing.
 */
export function planRound(parts: readonly Commit[], context: RoundContext): RoundPlan {
  const { nowMs, random, head, expectedHead = head.revision } = context
  if (head.revision !== expectedHead) return { outcome: { ok: false, conflicts: [], isBehind: true }, commits: [] }
  const written = new Map<string, Version>()
  const commits: PlannedCommit[] = []
  let position = head
  for (const part of parts) {
    const revision = position.revision + 1
    const newest: PlanContext['newest'] = (text, withRow) => written.get(text) ?? context.newest(text, withRow)
    const plan = planCommit(part, { newest, incarnation: context.incarnation, revision, nowMs })
    if (!plan.ok) return { outcome: plan, commits: [] }
    if (plan.versions.length === 0) continue
    position = { store: position.store, revision, commitId: commitIdFrom(random.bytes(8)) }
    for (const version of plan.versions) written.set(keyText(version.key), version)
    const { subject, intent, traceparent } = part
    const record = { position, subject, intent, atMs: nowMs, ...(traceparent ? { traceparent } : {}) }
    commits.push({ ...record, versions: plan.versions })
  }
  return { outcome: { ok: true, position, written: commits.flatMap(({ versions }) => versions) }, commits }
}

/** A random 64-bit id of a commit, so that histories that have diverged share no later position. */
const commitIdFrom = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

type Conflicts = Extract<CommitOutcome, { ok: false }>['conflicts']
type Plan =
  | { readonly ok: true; readonly versions: readonly Version[] }
  | { readonly ok: false; readonly conflicts: Conflicts }

/**
 * Plans the writes of a commit, by the same rules in every store. Expectations are judged against the state before the
 * commit. A second change of a key replaces the first. A change without an effect is left out: a received row that is
 * not newer, a put of an own row with the same content, and the removal of an absent row.
 */
function planCommit(commit: Commit, context: PlanContext): Plan {
  const conflicts: Conflicts[number][] = []
  const written = new Map<string, Version>()
  for (const change of commit.changes) {
    const text = keyText(change.key)
    const before = context.newest(text, isComparedByContent(change))
    const expect = 'expect' in change ? change.expect : undefined
    if (expect && !holds(expect, before))
      conflicts.push({ key: change.key, expected: expect, found: liveRevision(before) })
    if (change.op === 'check') continue
    const version = versionOf(change, written.get(text) ?? before, context, commit.declared)
    if (version) written.set(text, version)
  }
  if (conflicts.length > 0) return { ok: false, conflicts }
  return { ok: true, versions: [...written.values()] }
}

const isComparedByContent = (change: Change) => change.op === 'put' && (!change.stamp || change.forced === true)

const liveRevision = (version: Version | undefined) => (version?.state === 'live' ? version.revision : undefined)

function holds(expect: Expect, before: Version | undefined): boolean {
  const found = liveRevision(before)
  if ('absent' in expect) return found === undefined
  if ('present' in expect) return found !== undefined
  return found === expect.revision
}

function versionOf(
  change: Exclude<Change, { op: 'check' }>,
  present: Version | undefined,
  context: PlanContext,
  declaredAll: true | undefined,
): Version | undefined {
  const { revision } = context
  const live = present?.state === 'live' ? present : undefined
  if (change.op === 'forget') return live && { key: live.key, revision, state: 'forgotten', stamp: live.stamp }
  const known = change.op === 'put' && change.forced ? isKnown(change, live) : isStale(change.stamp, present)
  if (known) return undefined
  if (change.op === 'delete') {
    if (!live) return undefined
    const stamp = change.stamp ?? ownStamp(context, live.stamp.createdAtMs)
    const declared = (change.stamp ? change.declared : declaredAll) ? { declared: true as const } : {}
    return { key: live.key, revision, state: 'deleted', stamp, ...declared }
  }
  if (!change.stamp && live?.row && sameContent(live.row, change)) return undefined
  const stamp = change.stamp ?? ownStamp(context, live?.stamp.createdAtMs ?? context.nowMs)
  const key: ResourceKey = change.key
  return { key, revision, state: 'live', stamp, row: { key, stamp, labels: change.labels, spec: change.spec } }
}

/**
 * A forgotten row may return with the same stamp, because it has become visible again. Every other row must be newer.
 */
const isStale = (stamp: Stamp | undefined, present: Version | undefined) =>
  stamp !== undefined && present !== undefined && present.state !== 'forgotten' && !isNewer(stamp, present.stamp)

/** Two histories of one owner may have given the same stamp to different content. */
const isKnown = (change: Extract<Change, { op: 'put' }>, live: Version | undefined) =>
  live?.row !== undefined &&
  change.stamp?.incarnation === live.stamp.incarnation &&
  change.stamp.originRevision === live.stamp.originRevision &&
  sameContent(live.row, change)

const sameContent = (a: { labels: unknown; spec: unknown }, b: { labels: unknown; spec: unknown }) =>
  isDeepStrictEqual(a.labels, b.labels) && isDeepStrictEqual(a.spec, b.spec)

const ownStamp = ({ incarnation, revision, nowMs }: PlanContext, createdAtMs: number): Stamp => ({
  incarnation,
  originRevision: revision,
  createdAtMs,
  modifiedAtMs: nowMs,
})
