import { isDeepStrictEqual } from 'node:util'
import { isNewer, keyText, type ResourceKey, type Stamp } from '../resource/resource.ts'
import type { Change, Commit, CommitOutcome, Expect, Version } from './store.ts'

/** The largest commit that a store takes. */
export const changesPerCommitMax = 1000

export interface PlanContext {
  /**
   * The newest version of a key, the commits before this one included. `withRow` is false where its stamp alone decides: its row
   * need not be read then.
   */
  newest(text: string, withRow: boolean): Version | undefined
  readonly incarnation: number
  /** The revision that this commit gets if it writes anything. */
  readonly revision: number
  readonly nowMs: number
}

type Conflicts = Extract<CommitOutcome, { ok: false }>['conflicts']
export type Plan =
  | { readonly ok: true; readonly versions: readonly Version[] }
  | { readonly ok: false; readonly conflicts: Conflicts }

/**
 * What a commit writes, by the same rules in every store. Expectations are judged against the state before the commit;
 * a second change of one key replaces the first. What would change nothing is left out: a received row that is not newer, a
 * put of an own row with the content it has, a removal of what is not there.
 */
export function planCommit(commit: Commit, context: PlanContext): Plan {
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

/** A forgotten row may come back as it was: its owner let us see it again. Everything else must be newer. */
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
