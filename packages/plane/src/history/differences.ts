import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { byCodeUnit, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { ResourceKey, Row } from '@zonemesh/shared/resource/resource.ts'
import { versionsBetween } from '@zonemesh/shared/store/state.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { type ResourceName, resourceName, shownDocument } from './documents.ts'
import { changedFields, type FieldChange } from './fields.ts'

/** Selects keys: returns the kind of a selected key, and undefined for all others. */
export type KeyFilter = (key: ResourceKey) => Kind | undefined

/** A row that differs between two revisions. `before` or `after` may be absent, but not both. */
export interface RowDifference {
  readonly kind: Kind
  readonly key: ResourceKey
  readonly before: Row | undefined
  readonly after: Row | undefined
}

/** A difference as shown to users. */
export interface Difference extends ResourceName {
  readonly zone?: string
  readonly change: 'created' | 'changed' | 'deleted'
  readonly before?: JsonObject
  readonly after?: JsonObject
  readonly fields: readonly FieldChange[]
}

/** After this number of reads, other tasks run, because reads of a SQLite file are synchronous. */
const readsPerTurn = 200

/** The differences between two revisions, in either order, by kind, mesh and name. Rejects with HorizonError. */
export async function differences(store: Store, from: number, to: number, filter: KeyFilter): Promise<RowDifference[]> {
  const found: RowDifference[] = []
  let reads = 0
  for await (const { key } of versionsBetween(store, Math.min(from, to), Math.max(from, to))) {
    const kind = filter(key)
    if (!kind) continue
    const versions = await store.history(key)
    const rowAt = (revision: number) => versions.find((version) => version.revision <= revision)?.row
    const [before, after] = [rowAt(from), rowAt(to)]
    if (before !== after && isDifferent(kind, before, after)) found.push({ kind, key, before, after })
    reads += 1
    if (reads % readsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return found.sort(
    (a, b) =>
      byCodeUnit(a.key.kind, b.key.kind) ||
      byCodeUnit(a.key.mesh, b.key.mesh) ||
      byCodeUnit(a.key.name, b.key.name) ||
      byCodeUnit(a.key.origin, b.key.origin),
  )
}

/** A row that was changed and restored in between is no difference. */
const isDifferent = (kind: Kind, before: Row | undefined, after: Row | undefined): boolean =>
  fieldsOf(kind, before, after).length > 0

function fieldsOf(kind: Kind, before: Row | undefined, after: Row | undefined): FieldChange[] {
  return changedFields(before && shownDocument(kind, before), after && shownDocument(kind, after))
}

export function shownDifference({ kind, key, before, after }: RowDifference, ownOrigin: string): Difference {
  return {
    ...resourceName(kind, key, ownOrigin),
    change: !before ? 'created' : after ? 'changed' : 'deleted',
    ...(before ? { before: shownDocument(kind, before) } : {}),
    ...(after ? { after: shownDocument(kind, after) } : {}),
    fields: before && after ? fieldsOf(kind, before, after) : [],
  }
}
