import { isDeepStrictEqual } from 'node:util'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { shownDifference } from '../history/differences.ts'
import type { FieldChange } from '../history/fields.ts'
import type { Removal } from './deletions.ts'
import { ApiError } from './errors.ts'
import type { ApiPlane } from './plane.ts'
import { ifMatch, type Prepared } from './resources.ts'

/** What a commit would do to one resource: as it is, as it would be, and the fields that differ. */
export interface Planned {
  readonly outcome: 'created' | 'updated' | 'unchanged' | 'deleted'
  readonly before?: JsonObject
  readonly after?: JsonObject
  readonly fields?: readonly FieldChange[]
}

/** What a commit would do with a document. Equal contents change nothing, as in the store. */
export function plannedOutcome(plane: ApiPlane, { admitted, key, existing, labels, spec }: Prepared): Planned {
  if (existing && isDeepStrictEqual(existing.labels, labels) && isDeepStrictEqual(existing.spec, spec))
    return { outcome: 'unchanged' }
  const stamp = existing?.stamp ?? { incarnation: 0, originRevision: 0, createdAtMs: 0, modifiedAtMs: 0 }
  const after: Row = { key, stamp, labels, spec }
  const {
    before,
    after: shown,
    fields,
  } = shownDifference({ kind: admitted.kind, key, before: existing, after }, plane.origin)
  return {
    outcome: existing ? 'updated' : 'created',
    ...(before ? { before } : {}),
    ...(shown ? { after: shown } : {}),
    fields,
  }
}

/** What a commit would do with a resource that it deletes. */
export function plannedRemoval(plane: ApiPlane, { kind, row }: Removal): Planned {
  const { before, fields } = shownDifference({ kind, key: row.key, before: row, after: undefined }, plane.origin)
  return { outcome: 'deleted', ...(before ? { before } : {}), fields }
}

/**
 * The changes with the condition that nothing has written their rows since a revision that the caller has seen. Throws
 * 412 if something has.
 */
export async function unchangedSince(plane: ApiPlane, changes: readonly Change[], since: string): Promise<Change[]> {
  const seen = ifMatch(plane, since)
  const versions = await Promise.all(changes.map(({ key }) => plane.store.get(key)))
  const later = versions.flatMap((version) =>
    version && seen && version.revision > seen.revision
      ? [`${version.key.kind} "${version.key.name}" at @${version.revision}`]
      : [],
  )
  if (later.length > 0)
    throw new ApiError(412, 'Precondition failed', `nothing was written: changed after ${since}: ${later.join(', ')}`)
  return changes.map((change, index): Change => {
    const version = versions[index]
    const expect = version?.row ? { revision: version.revision } : ({ absent: true } as const)
    return change.op === 'put' || change.op === 'delete' ? { ...change, expect } : change
  })
}
