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

/** A kind of which one commit removes more than anybody does by hand. */
export interface MassRemoval {
  readonly kind: string
  readonly removed: number
  readonly total: number
}

/** One that is deleted, first, and what goes with it: with a mesh, the rows of this plane in it. */
export async function removalOf(plane: ApiPlane, kind: Kind, row: Row): Promise<Extract<Change, { op: 'delete' }>[]> {
  const children = kind.name === 'Mesh' ? await rowsInMesh(plane, row.key.name) : []
  return [row, ...children].map(({ key }) => ({ op: 'delete', key }) as const)
}

/** The rows of this plane that go with a mesh. Virtual addresses end with their quarantine, which goes on. */
export async function rowsInMesh(plane: ApiPlane, mesh: string): Promise<Row[]> {
  const rows = await allRows(plane, { mesh, origin: plane.origin })
  return rows.filter(({ key }) => key.mesh === mesh && key.kind !== virtualAddress.name)
}

/** What a commit carries where its caller declared it, or where only rows that nobody writes by hand are many. */
export const declaration = (changes: readonly Change[], declared: boolean): { readonly declared?: true } =>
  declared || [...removedByKind(changes, true).values()].some((removed) => removed > removalsMax)
    ? { declared: true }
    : {}

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

/** Of the kinds that people write, or of those that planes write by themselves. */
function removedByKind(changes: readonly Change[], internal = false): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { op, key } of changes) {
    if (op !== 'delete' || (findKind(key.kind)?.internal ?? false) !== internal) continue
    counts.set(key.kind, (counts.get(key.kind) ?? 0) + 1)
  }
  return counts
}

/** The kinds of which these changes remove very much, and the announcements if they withdraw very many. */
async function findMassRemovals(plane: ApiPlane, changes: readonly Change[]): Promise<readonly MassRemoval[]> {
  const totals = new Map<string, number>()
  for (const [kind, removed] of removedByKind(changes)) {
    if (removed > removalsMax) totals.set(kind, (await allRows(plane, { kind, origin: plane.origin })).length)
  }
  const withdrawn = await withdrawnWithZones(plane, changes)
  return [...massRemovals(changes, totals), ...(withdrawn ? [withdrawn] : [])]
}

/** The announcements that other zones no longer use after these deletions of enabled Zones, if they are very many. */
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

/** 409 with everything that would go, for a commit that removes very much and does not say that it means to. */
export async function requireIntent(plane: ApiPlane, changes: readonly Change[], declared: boolean): Promise<void> {
  if (declared) return
  const found = await findMassRemovals(plane, changes)
  if (found.length === 0) return
  throw wouldRemoveMany(
    changes,
    found,
    'if all of it is meant to go, say so with ?declared=true, with "declared": true in the body, or with --yes-remove-many',
  )
}

/** How many resources a rollback removes of kinds of which it removes very much: the number that must be confirmed. */
export async function removalsToConfirm(plane: ApiPlane, changes: readonly Change[]): Promise<number> {
  const found = await findMassRemovals(plane, changes)
  return found.reduce((sum, { removed }) => sum + removed, 0)
}

/** 409 for a rollback whose removals were not confirmed, or with another number than it removes. */
export async function requireConfirmed(
  plane: ApiPlane,
  changes: readonly Change[],
  confirmed: number | undefined,
): Promise<void> {
  const found = await findMassRemovals(plane, changes)
  const removed = found.reduce((sum, one) => sum + one.removed, 0)
  if (removed === 0 || removed === confirmed) return
  const given = confirmed === undefined ? '' : ` (found a confirmation of ${confirmed})`
  throw wouldRemoveMany(
    changes,
    found,
    `if all of it is meant to go, confirm the number with "confirmRemovals": ${removed} in the body or --confirm-removals ${removed}${given}`,
  )
}

function wouldRemoveMany(changes: readonly Change[], found: readonly MassRemoval[], wayOut: string): ApiError {
  const kinds = new Set(found.map(({ kind }) => kind))
  const going = changes.flatMap(({ op, key }) => (op === 'delete' && kinds.has(key.kind) ? [key] : []))
  const counts = found.map(({ kind, removed, total }) => `${removed} of ${total} ${kind}`).join(' and ')
  return new ApiError(
    409,
    'Many resources would go',
    `this commit removes ${counts}, more than ${removedShareMax * 100} % and more than ${removalsMax}; nothing was written: ${wayOut}`,
    going.map(({ kind, mesh, name }) => ({
      field: `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}`,
      reason: 'would be removed',
    })),
  )
}
