import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { type CommitRecord, positionText, type Store, type Version } from '@zonemesh/shared/store/store.ts'
import { shownDocument } from './documents.ts'
import { changedFields, type FieldChange } from './fields.ts'
import { horizonOf } from './revisions.ts'

/** The first report of a zone that covers a revision: its time, and the revision in it, which may be a later one. */
export interface ReportedTime {
  readonly atMs: number
  readonly revision: number
}

/** When one zone stored and served a revision. */
export interface ZoneTimes {
  readonly zone: string
  readonly stored?: ReportedTime
  readonly served?: ReportedTime
}

/** Looks up when zones stored and served a revision, as far as they have reported it to this plane. */
export type Trail = (revision: number) => Promise<readonly ZoneTimes[]>

/** `skipped`: the zone received a newer version before it ran this one. */
export const runStates = ['stored', 'served', 'skipped'] as const

export interface ZoneRun {
  readonly zone: string
  readonly state: (typeof runStates)[number]
  readonly storedAt?: string
  readonly servedAt?: string
  /** When the zone served the next version. */
  readonly servedUntil?: string
}

export const versionKinds = ['created', 'changed', 'deleted', 'withdrawn'] as const

/** One version of one resource. Author, intent and commit are unknown if it is older than the records. */
export interface VersionEntry {
  readonly short: string
  readonly revision?: string
  readonly when: string
  readonly who?: string
  readonly why?: string
  readonly what: (typeof versionKinds)[number]
  /** Absent if the former version is not kept. */
  readonly changes?: readonly FieldChange[]
  readonly zones?: readonly ZoneRun[]
}

export const iso = (ms: number): string => new Date(ms).toISOString()

/** The record of a commit; undefined if it is too old. */
export async function recordOf(store: Store, revision: number): Promise<CommitRecord | undefined> {
  const [record] = await store.records({ after: revision - 1, limit: 1 })
  return record?.position.revision === revision ? record : undefined
}

/** Every kept version of a row, newest first, with its author, time and intent, and the zones that ran it. */
export async function versionEntries(
  store: Store,
  kind: Kind,
  key: ResourceKey,
  trail: Trail | undefined,
): Promise<VersionEntry[]> {
  const horizon = await horizonOf(store)
  const versions = await store.history(key)
  const entries: VersionEntry[] = []
  for (const [index, version] of versions.entries()) {
    const record = await recordOf(store, version.revision)
    const zones = trail ? await runs(trail, version, versions[index - 1]) : []
    entries.push({
      short: `@${version.revision}`,
      ...(record ? { revision: positionText(record.position), who: record.subject, why: record.intent } : {}),
      when: iso(record?.atMs ?? version.stamp.modifiedAtMs),
      ...changeOf(kind, version, versions[index + 1], horizon),
      ...(zones.length > 0 ? { zones } : {}),
    })
  }
  return entries
}

function changeOf(
  kind: Kind,
  version: Version,
  former: Version | undefined,
  horizon: number,
): Pick<VersionEntry, 'what' | 'changes'> {
  if (!version.row) return { what: version.state === 'forgotten' ? 'withdrawn' : 'deleted', changes: [] }
  if (former?.row) {
    const changes = changedFields(shownDocument(kind, former.row), shownDocument(kind, version.row))
    return { what: 'changed', changes }
  }
  const { createdAtMs, modifiedAtMs } = version.stamp
  const formerIsGone = former === undefined && version.revision <= horizon && createdAtMs !== modifiedAtMs
  return formerIsGone ? { what: 'changed' } : { what: 'created', changes: [] }
}

async function runs(trail: Trail, version: Version, newer: Version | undefined): Promise<ZoneRun[]> {
  const limit = newer?.revision ?? Number.POSITIVE_INFINITY
  const after = new Map((newer ? await trail(newer.revision) : []).map((times) => [times.zone, times]))
  return (await trail(version.revision)).map(({ zone, stored, served }): ZoneRun => {
    const isServed = served !== undefined && served.revision < limit
    const isStored = stored !== undefined && stored.revision < limit
    const until = isServed ? after.get(zone)?.served : undefined
    return {
      zone,
      state: isServed ? 'served' : isStored ? 'stored' : 'skipped',
      ...(isStored ? { storedAt: iso(stored.atMs) } : {}),
      ...(isServed ? { servedAt: iso(served.atMs) } : {}),
      ...(until ? { servedUntil: iso(until.atMs) } : {}),
    }
  })
}
