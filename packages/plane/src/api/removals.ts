import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { isMass, removalsMax, removedShareMax } from '@zonemesh/shared/sync/log/holds.ts'
import { ApiError } from './errors.ts'
import type { ApiPlane } from './plane.ts'
import { allRows } from './resources.ts'
import type { Call } from './server.ts'

/** A kind of which one commit removes more than anybody does by hand. */
export interface MassRemoval {
  readonly kind: string
  readonly removed: number
  readonly total: number
}

/** One that is deleted, first, and what goes with it: with a mesh, the rows of this plane in it. */
export async function removalOf(plane: ApiPlane, kind: Kind, row: Row): Promise<Extract<Change, { op: 'delete' }>[]> {
  const children = kind.name === 'Mesh' ? await allRows(plane, { mesh: row.key.name, origin: plane.origin }) : []
  return [row, ...children.filter(({ key }) => key.mesh === row.key.name)].map(
    ({ key }) => ({ op: 'delete', key }) as const,
  )
}

/** Whether the caller has said that so much is meant to go: `?declared=true`, or in the body. */
export function isDeclared({ query, body }: Call): boolean {
  const inBody: unknown = body !== null && typeof body === 'object' ? Reflect.get(body, 'declared') : undefined
  return query.get('declared') === 'true' || inBody === true
}

/** By the rule by which zones hold a commit back; `totals` are the rows of this plane by kind. */
export function massRemovals(changes: readonly Change[], totals: ReadonlyMap<string, number>): readonly MassRemoval[] {
  return [...removedByKind(changes)]
    .map(([kind, removed]) => ({ kind, removed, total: totals.get(kind) ?? 0 }))
    .filter(({ removed, total }) => isMass(removed, total))
    .sort((a, b) => byCodeUnit(a.kind, b.kind))
}

function removedByKind(changes: readonly Change[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { op, key } of changes) if (op === 'delete') counts.set(key.kind, (counts.get(key.kind) ?? 0) + 1)
  return counts
}

/** 409 with everything that would go, for a commit that removes very much and does not say that it means to. */
export async function requireIntent(plane: ApiPlane, changes: readonly Change[], declared: boolean): Promise<void> {
  if (declared) return
  const totals = new Map<string, number>()
  for (const [kind, removed] of removedByKind(changes)) {
    if (removed > removalsMax) totals.set(kind, (await allRows(plane, { kind, origin: plane.origin })).length)
  }
  const found = massRemovals(changes, totals)
  if (found.length === 0) return
  const kinds = new Set(found.map(({ kind }) => kind))
  const going = changes.flatMap(({ op, key }) => (op === 'delete' && kinds.has(key.kind) ? [key] : []))
  const counts = found.map(({ kind, removed, total }) => `${removed} of ${total} ${kind}`).join(' and ')
  throw new ApiError(
    409,
    'Many resources would go',
    `this commit removes ${counts}, more than ${removedShareMax * 100} % and more than ${removalsMax}; nothing was written: ` +
      'if all of it is meant to go, say so with ?declared=true, with "declared": true in the body, or with --yes-remove-many',
    going.map(({ kind, mesh, name }) => ({
      field: `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}`,
      reason: 'would be removed',
    })),
  )
}
