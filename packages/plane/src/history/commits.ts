import { versionsBetween } from '@zonemesh/shared/store/state.ts'
import { type CommitRecord, positionText, type Store, type Version } from '@zonemesh/shared/store/store.ts'
import type { KeyFilter } from './differences.ts'
import { type ResourceName, resourceName } from './documents.ts'
import { horizonOf } from './revisions.ts'
import { iso, type Trail, type versionKinds, type ZoneRun } from './versions.ts'

export interface CommitResource extends ResourceName {
  readonly zone?: string
  readonly what: (typeof versionKinds)[number]
}

/** One commit of the log. `rows` counts all rows that it wrote; `resources` lists those that users read and write. */
export interface CommitEntry {
  readonly short: string
  readonly revision: string
  readonly when: string
  readonly who: string
  readonly why: string
  readonly rows: number
  readonly resources: readonly CommitResource[]
  readonly zones?: readonly Omit<ZoneRun, 'servedUntil'>[]
}

export interface CommitPage {
  readonly items: readonly CommitEntry[]
  /** The `before` of the next page; absent at the end of the kept history. */
  readonly next?: number
}

/** Limit of the commits that one call reads, even if few of them match. */
const recordsPerCall = 1000
const recordsPerTurn = 100

/**
 * Commits below a revision, newest first. Unless `all` is true, only those that wrote a matching key, because planes
 * make many commits of their own. The oldest record stands for the state at the horizon: the rows that it wrote are
 * unknown.
 */
export async function newestCommits(
  deps: { readonly store: Store; readonly origin: string; readonly trail: Trail | undefined },
  options: { readonly before: number; readonly limit: number; readonly all: boolean; readonly filter: KeyFilter },
): Promise<CommitPage> {
  const { store } = deps
  const items: CommitEntry[] = []
  const horizon = await horizonOf(store)
  let top = Math.min(options.before, (await store.head()).revision + 1)
  const bottom = Math.max(horizon, top - 1 - recordsPerCall)
  while (top - 1 > bottom) {
    const from = Math.max(bottom, top - 1 - recordsPerTurn)
    const records = await store.records({ after: from, limit: top - 1 - from })
    for (const record of records.toReversed()) {
      const entry = await entryOf(deps, record, options.filter)
      if (options.all || entry.resources.length > 0) items.push(entry)
      top = record.position.revision
      if (items.length === options.limit) return { items, ...(top - 1 > horizon ? { next: top } : {}) }
    }
    top = from + 1
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { items, ...(bottom > horizon ? { next: bottom + 1 } : {}) }
}

async function entryOf(
  { store, origin, trail }: Parameters<typeof newestCommits>[0],
  { position, atMs, subject, intent, rows }: CommitRecord,
  filter: KeyFilter,
): Promise<CommitEntry> {
  const resources: CommitResource[] = []
  for await (const version of versionsBetween(store, position.revision - 1, position.revision)) {
    const kind = filter(version.key)
    if (kind) resources.push({ ...resourceName(kind, version.key, origin), what: await changeOf(store, version) })
  }
  const zones = ((await trail?.(position.revision)) ?? []).map(({ zone, stored, served }) => ({
    zone,
    state: served ? ('served' as const) : ('stored' as const),
    ...(stored ? { storedAt: iso(stored.atMs) } : {}),
    ...(served ? { servedAt: iso(served.atMs) } : {}),
  }))
  return {
    short: `@${position.revision}`,
    revision: positionText(position),
    when: iso(atMs),
    who: subject,
    why: intent,
    rows,
    resources,
    ...(zones.length > 0 ? { zones } : {}),
  }
}

async function changeOf(store: Store, version: Version): Promise<CommitResource['what']> {
  if (!version.row) return version.state === 'forgotten' ? 'withdrawn' : 'deleted'
  const { createdAtMs, modifiedAtMs } = version.stamp
  if (createdAtMs !== modifiedAtMs) return 'changed'
  // Two writes may have the same millisecond. Only then the versions are read.
  const former = (await store.history(version.key)).find(({ revision }) => revision < version.revision)
  return former?.row ? 'changed' : 'created'
}
