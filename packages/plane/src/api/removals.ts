import { availableService, virtualAddress } from '@zonemesh/core/kinds/internal.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { isMass, removalsMax, removedShareMax } from '@zonemesh/shared/sync/log/holds.ts'
import { ApiError } from './errors.ts'
import type { ApiPlane } from './plane.ts'
import { allRows } from './resources.ts'
import type { Call } from './route.ts'

/** A kind of which one commit removes very many rows. */
export interface MassRemoval {
  readonly kind: string
  readonly removed: number
  readonly total: number
}

/**
 * The deletion of a row, then those of the rows that are deleted with it: a Mesh takes the plane's own rows in it
 * along.
 */
export async function removalOf(plane: ApiPlane, kind: Kind, row: Row): Promise<Extract<Change, { op: 'delete' }>[]> {
  const children = kind.name === 'Mesh' ? await rowsInMesh(plane, row.key.name) : []
  return [row, ...children].map(({ key }) => ({ op: 'delete', key }) as const)
}

/** The own rows that are deleted with a mesh. Virtual addresses stay until their quarantine expires. */
export async function rowsInMesh(plane: ApiPlane, mesh: string): Promise<Row[]> {
  const rows = await allRows(plane, { mesh, origin: plane.origin })
  return rows.filter(({ key }) => key.mesh === mesh && key.kind !== virtualAddress.name)
}

/** The declaration of a commit: given by the caller, or implied if very many of its deletions are of internal kinds. */
export const declaration = (changes: readonly Change[], declared: boolean): { readonly declared?: true } =>
  declared || [...removedByKind(changes, true).values()].some((removed) => removed > removalsMax)
    ? { declared: true }
    : {}

/** Whether the caller confirms a mass removal, by `?declared=true` or in the body. */
export function isDeclared({ query, body }: Call): boolean {
  const inBody: unknown = body !== null && typeof body === 'object' ? Reflect.get(body, 'declared') : undefined
  return query.get('declared') === 'true' || inBody === true
}

/**
 * The mass removals among these changes, by the rule by which zones hold a commit. `totals`: rows of this plane by
 * kind.
 */
export function massRemovals(changes: readonly Change[], totals: ReadonlyMap<string, number>): readonly MassRemoval[] {
  return [...removedByKind(changes)]
    .map(([kind, removed]) => ({ kind, removed, total: totals.get(kind) ?? 0 }))
    .filter(({ removed, total }) => isMass(removed, total))
    .sort((a, b) => byCodeUnit(a.kind, b.kind))
}

/** Counts deletions by kind: either of the kinds that users write, or of the internal ones. */
function removedByKind(changes: readonly Change[], internal = false): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { op, key } of changes) {
    if (op !== 'delete' || (findKind(key.kind)?.internal ?? false) !== internal) continue
    counts.set(key.kind, (counts.get(key.kind) ?? 0) + 1)
  }
  return counts
}

/** The kinds of which these changes remove very many rows, and the announced services if very many are withdrawn. */
export async function findMassRemovals(plane: ApiPlane, changes: readonly Change[]): Promise<readonly MassRemoval[]> {
  const totals = new Map<string, number>()
  for (const [kind, removed] of removedByKind(changes)) {
    if (removed > removalsMax) totals.set(kind, (await allRows(plane, { kind, origin: plane.origin })).length)
  }
  const withdrawn = await withdrawnWithZones(plane, changes)
  return [...massRemovals(changes, totals), ...(withdrawn ? [withdrawn] : [])]
}

/** The services that other zones no longer use after these deletions of enabled Zones, if they are very many. */
async function withdrawnWithZones(plane: ApiPlane, changes: readonly Change[]): Promise<MassRemoval | undefined> {
  const zones = new Set<string>()
  for (const { op, key } of changes) {
    if (op !== 'delete' || key.kind !== zoneKind.name) continue
    const row = (await plane.store.get(key))?.row
    if (row && isEnabled(specOf(zoneKind, row) ?? { enabled: false })) zones.add(key.name)
  }
  if (zones.size === 0) return undefined
  const announced = await allRows(plane, { kind: availableService.name })
  const removed = announced.filter(({ key }) => zones.has(key.origin)).length
  const total = announced.length
  return isMass(removed, total) ? { kind: 'announced services', removed, total } : undefined
}

/** Refuses (409) an undeclared mass removal, with a list of everything that it would remove. */
export async function requireIntent(plane: ApiPlane, changes: readonly Change[], declared: boolean): Promise<void> {
  if (declared) return
  const found = await findMassRemovals(plane, changes)
  if (found.length === 0) return
  throw wouldRemoveMany(
    changes,
    found,
    'to remove all of them, confirm with ?declared=true, with "declared": true in the body, or with --yes-remove-many',
  )
}

/** The number that the caller of a rollback must confirm: all resources in its mass removals. */
export async function removalsToConfirm(plane: ApiPlane, changes: readonly Change[]): Promise<number> {
  const found = await findMassRemovals(plane, changes)
  return found.reduce((sum, { removed }) => sum + removed, 0)
}

/** Refuses (409) a rollback whose mass removals are not confirmed, or confirmed with another number. */
export async function requireConfirmed(
  plane: ApiPlane,
  changes: readonly Change[],
  confirmed: number | undefined,
): Promise<void> {
  const found = await findMassRemovals(plane, changes)
  const removed = found.reduce((sum, removal) => sum + removal.removed, 0)
  if (removed === 0 || removed === confirmed) return
  const given = confirmed === undefined ? '' : ` (found ${confirmed})`
  throw wouldRemoveMany(
    changes,
    found,
    `to remove all of them, confirm the number with "confirmRemovals": ${removed} in the body or --confirm-removals ${removed}${given}`,
  )
}

function wouldRemoveMany(changes: readonly Change[], found: readonly MassRemoval[], remedy: string): ApiError {
  const kinds = new Set(found.map(({ kind }) => kind))
  const removedKeys = changes.flatMap(({ op, key }) => (op === 'delete' && kinds.has(key.kind) ? [key] : []))
  const counts = found.map(({ kind, removed, total }) => `${removed} of ${total} ${kind}`).join(' and ')
  return new ApiError(
    409,
    'Many resources would be removed',
    `this commit removes ${counts}, more than ${removedShareMax * 100} % and more than ${removalsMax}; nothing was written: ${remedy}`,
    removedKeys.map(({ kind, mesh, name }) => ({
      field: `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}`,
      reason: 'would be removed',
    })),
  )
}
