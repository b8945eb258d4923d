import { byCodeUnit, type JsonObject } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { keyText, type Row } from '../resource/resource.ts'
import { HorizonError } from './errors.ts'
import type { FaultHook } from './faults.ts'
import { createCommitGroup, type Round, type Transacted } from './group.ts'
import { type PlannedCommit, planRound } from './plan.ts'
import type { CommitRecord, Position, Selection, Store, Version } from './store.ts'
import { neverWoken } from './wakeups.ts'

/** The contents of a memory store. A new store over the same contents behaves like the old one after a restart. */
export interface MemoryContents {
  readonly id: string
  incarnation: number
  mark: number
  horizon: number
  /** Every version of a key, oldest first. */
  readonly versionsByKey: Map<string, Version[]>
  /** The sorted keys, computed on demand. */
  sortedKeys: string[] | undefined
  /** Every kept version by revision, then key. */
  log: { readonly text: string; readonly version: Version }[]
  records: CommitRecord[]
  readonly notes: Map<string, JsonObject>
}

/** The size of a page of changes without a limit. */
const versionsPerPage = 500

export interface MemoryDeps {
  readonly random: Random
  readonly clock: Clock
  readonly faultPoint?: FaultHook
}

/** The contents of a store before its first commit. */
export function createMemoryContents(deps: MemoryDeps): MemoryContents {
  const id = deps.random.uuid()
  return {
    id,
    incarnation: Math.max(1, Math.floor(deps.clock.wallMs())),
    mark: 0,
    horizon: 0,
    versionsByKey: new Map(),
    sortedKeys: undefined,
    log: [],
    records: [{ position: { store: id, revision: 0, commitId: '0' }, subject: '', intent: '', atMs: 0, rows: 0 }],
    notes: new Map(),
  }
}

/** A store whose contents end with its process: for tests, simulation and planes without state. */
export function createMemoryStore(
  deps: MemoryDeps,
  options: { readonly horizonRevisions?: number; readonly contents?: MemoryContents } = {},
): Store {
  const contents = options.contents ?? createMemoryContents(deps)
  const horizonRevisions = options.horizonRevisions ?? 20_000
  const newestOf = (text: string) => contents.versionsByKey.get(text)?.at(-1)
  const group = createCommitGroup((run) => queueMicrotask(run), transact)

  async function transact(rounds: readonly Round[]): Promise<Transacted> {
    deps.faultPoint?.('begin')
    const pending = new Map<string, Version>()
    const commits: PlannedCommit[] = []
    const markBefore = contents.mark
    let mark = markBefore
    let head = recordAt(contents, headRevision(contents)).position
    const outcomes = rounds.map((round) => {
      const plan = planRound(round.parts, {
        newest: (text) => pending.get(text) ?? newestOf(text),
        incarnation: contents.incarnation,
        head,
        expectedHead: round.head,
        nowMs: deps.clock.wallMs(),
        random: deps.random,
      })
      for (const version of plan.commits.flatMap(({ versions }) => versions)) {
        deps.faultPoint?.('version')
        pending.set(keyText(version.key), version)
      }
      commits.push(...plan.commits)
      if (plan.outcome.ok) head = plan.outcome.position
      if (plan.outcome.ok && !round.unmarked) mark = head.revision
      return plan.outcome
    })
    deps.faultPoint?.('before-commit')
    for (const { versions, ...record } of commits) {
      append(contents, versions)
      contents.records.push({ ...record, rows: versions.length })
    }
    contents.mark = mark
    if (head.revision - contents.horizon > horizonRevisions * 1.25)
      prune(contents, Math.min(mark, head.revision - horizonRevisions))
    deps.faultPoint?.('after-commit')
    return { outcomes, newMark: mark !== markBefore }
  }

  return {
    id: contents.id,
    get incarnation() {
      return contents.incarnation
    },
    async raiseIncarnation(atLeast) {
      contents.incarnation = Math.max(contents.incarnation, atLeast)
    },
    notes: {
      async put(entries) {
        for (const { name, value } of entries) {
          if (value) contents.notes.set(name, value)
          else contents.notes.delete(name)
        }
      },
      async read(prefix) {
        return new Map([...contents.notes].filter(([name]) => name.startsWith(prefix)))
      },
      onWake: neverWoken,
    },
    fault: () => undefined,
    async head() {
      return recordAt(contents, headRevision(contents)).position
    },
    async mark() {
      return recordAt(contents, contents.mark).position
    },
    commitRound: group.commitRound,
    commit: group.commit,
    async get(key) {
      return newestOf(keyText(key))
    },
    async scan(selection, { at = contents.mark, after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      if (at < contents.horizon) throw new HorizonError(at, contents.horizon)
      contents.sortedKeys ??= [...contents.versionsByKey.keys()].sort(byCodeUnit)
      const rows: Row[] = []
      for (
        let index = firstAbove(contents.sortedKeys, after);
        index < contents.sortedKeys.length && rows.length < limit;
        index += 1
      ) {
        const row = contents.versionsByKey
          .get(contents.sortedKeys[index] ?? '')
          ?.findLast((version) => version.revision <= at)?.row
        if (row && selects(selection, row)) rows.push(row)
      }
      return rows
    },
    async changesSince(after, through, { limit = versionsPerPage, resume, origin } = {}) {
      if (after < contents.horizon) throw new HorizonError(after, contents.horizon)
      const versions: Version[] = []
      for (let index = firstInLog(contents.log, after, resume); index < contents.log.length; index += 1) {
        const entry = contents.log[index]
        if (!entry || entry.version.revision > through) break
        if (origin !== undefined && entry.version.key.origin !== origin) continue
        const newest = contents.versionsByKey.get(entry.text)?.findLast((version) => version.revision <= through)
        if (newest !== entry.version) continue
        versions.push(entry.version)
        if (versions.length === limit) return { versions, next: `${entry.version.revision}/${entry.text}` }
      }
      return { versions }
    },
    async history(key) {
      return contents.versionsByKey.get(keyText(key))?.toReversed() ?? []
    },
    async records({ after, limit }) {
      return contents.records.filter((record) => record.position.revision > after).slice(0, limit)
    },
    async standing(position) {
      if (position.store !== contents.id || position.revision > headRevision(contents)) return 'diverged'
      if (position.revision < contents.horizon) return 'behind'
      return recordAt(contents, position.revision).position.commitId === position.commitId ? 'valid' : 'diverged'
    },
    onMark: (listener) => group.onMark(listener),
    close: () => group.close(),
  }
}

const headRevision = (contents: MemoryContents) => contents.records.at(-1)?.position.revision ?? 0

/** The record of a revision. There are no gaps between records above the horizon. */
function recordAt(contents: MemoryContents, revision: number): { readonly position: Position } {
  const first = contents.records[0]?.position.revision ?? 0
  return contents.records[revision - first] ?? { position: { store: contents.id, revision: 0, commitId: '0' } }
}

function append(contents: MemoryContents, versions: readonly Version[]): void {
  const entries = versions.map((version) => ({ text: keyText(version.key), version }))
  for (const { text, version } of entries) {
    const kept = contents.versionsByKey.get(text)
    if (kept) kept.push(version)
    else {
      contents.versionsByKey.set(text, [version])
      contents.sortedKeys = undefined
    }
  }
  contents.log.push(...entries.sort((a, b) => byCodeUnit(a.text, b.text)))
}

/**
 * Drops what no reader above `horizon` needs: versions with a newer one at or below it, and removals at or below it.
 */
function prune(contents: MemoryContents, horizon: number): void {
  const dropped = new Set<Version>()
  for (const [text, versions] of contents.versionsByKey) {
    const newest = versions.findLastIndex((version) => version.revision <= horizon)
    const kept = versions.slice(versions[newest]?.state === 'live' ? newest : newest + 1)
    if (kept.length === versions.length) continue
    for (const version of versions.slice(0, versions.length - kept.length)) dropped.add(version)
    if (kept.length > 0) contents.versionsByKey.set(text, kept)
    else {
      contents.versionsByKey.delete(text)
      contents.sortedKeys = undefined
    }
  }
  contents.log = contents.log.filter((entry) => !dropped.has(entry.version))
  contents.records = contents.records.filter((record) => record.position.revision >= horizon)
  contents.horizon = horizon
}

const selects = (selection: Selection, { key }: Row) =>
  (selection.origin === undefined || selection.origin === key.origin) &&
  (selection.kind === undefined || selection.kind === key.kind) &&
  (selection.mesh === undefined || selection.mesh === key.mesh)

function firstAbove(sorted: readonly string[], text: string): number {
  return firstWhere(sorted.length, (index) => (sorted[index] ?? '') > text)
}

function firstInLog(log: MemoryContents['log'], after: number, resume: string | undefined): number {
  const cut = resume?.indexOf('/') ?? -1
  const revision = resume === undefined ? after : Number(resume.slice(0, cut))
  const text = resume?.slice(cut + 1)
  return firstWhere(log.length, (index) => {
    const entry = log[index]
    if (!entry) return true
    return (
      entry.version.revision > revision ||
      (text !== undefined && entry.version.revision === revision && entry.text > text)
    )
  })
}

/**
 * The first index for which `holds` is true, by binary search: `holds` is false below that index and true from there
 * on.
 */
function firstWhere(length: number, holds: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
