import { type Admitted, admit } from '@zonemesh/core/admit/admit.ts'
import {
  displayNameLabel,
  meshLabel,
  originLabel,
  proxyTypeLabel,
  zoneLabel,
  zoneTag,
} from '@zonemesh/core/kinds/common.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { Kind, Violation } from '@zonemesh/core/kinds/kind.ts'
import type { MeshSpec } from '@zonemesh/core/kinds/mesh-spec.ts'
import { isZoneProxy, proxyTypeOf } from '@zonemesh/core/kinds/proxies.ts'
import { byCodeUnit, type JsonObject, toJson } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { type Change, type CommitOutcome, parsePosition, type Selection } from '@zonemesh/shared/store/store.ts'
import { moveInlineKeys } from '../authority/inline-keys.ts'
import { checkProvided } from '../authority/provided.ts'
import { sameSecret } from '../authority/secret.ts'
import { ApiError, badRequest, invalid, notFound } from './errors.ts'
import { requireAdmin, type User } from './identity.ts'
import { displayMax, displayOf, shownName } from './names.ts'
import { placementFaults } from './placement.ts'
import type { ApiPlane } from './plane.ts'

const pageRows = 1000

/** All live rows of a selection in the order of lists: by mesh, then by name. */
export async function allRows(plane: ApiPlane, selection: Selection): Promise<Row[]> {
  const rows: Row[] = []
  let after: string | undefined
  for (;;) {
    const page = await plane.store.scan(selection, { limit: pageRows, ...(after === undefined ? {} : { after }) })
    rows.push(...page)
    const last = page.at(-1)
    if (!last || page.length < pageRows) break
    after = keyText(last.key)
  }
  return rows.sort(
    (a, b) =>
      byCodeUnit(a.key.mesh, b.key.mesh) ||
      byCodeUnit(a.key.name, b.key.name) ||
      byCodeUnit(a.key.origin, b.key.origin),
  )
}

/** A list that commits keep changing is read again so often, and then as a whole. */
const rowsTries = 5

/**
 * The live rows among these keys of one kind, all at one revision: a commit between two reads must not show half of
 * itself (G2). The newest version of a row is also its version at an earlier head that is not older than it.
 */
export async function rowsOf(
  { store }: { readonly store: Pick<Store, 'get' | 'head' | 'scan'> },
  keys: readonly ResourceKey[],
): Promise<Row[]> {
  for (let tries = 1; tries <= rowsTries; tries += 1) {
    const { revision } = await store.head()
    const versions = await Promise.all(keys.map((key) => store.get(key)))
    if (keys.length < 2 || versions.every((version) => (version?.revision ?? 0) <= revision))
      return versions.flatMap((version) => version?.row ?? [])
  }
  const [{ kind } = { kind: '' }] = keys
  const rows = await store.scan({ kind })
  const byKey = new Map(rows.map((row) => [keyText(row.key), row]))
  return keys.flatMap((key) => byKey.get(keyText(key)) ?? [])
}

/** The origins whose rows are shown under their own name. */
const plainOrigins = (plane: ApiPlane, kind: Kind): readonly string[] =>
  kind.fixedName && plane.origin !== globalOrigin ? [plane.origin, globalOrigin] : [plane.origin]

/**
 * Finds a row by the name that an API shows, or by its plain name. If several rows have this plain name, refuses with
 * 409 and their shown names.
 */
export async function findRow(plane: ApiPlane, kind: Kind, mesh: string, name: string): Promise<Row | undefined> {
  for (const origin of plainOrigins(plane, kind)) {
    const version = await plane.store.get({ origin, kind: kind.name, mesh, name })
    if (version?.row) return version.row
  }
  const display = displayOf(name)
  const hashed = display === undefined ? [] : await hashedFrom(plane, kind, mesh, display)
  const shown = hashed.find((key) => shownName(kind, { key }, plane.origin) === name)
  if (shown) return (await plane.store.get(shown))?.row
  const plain = await plane.catalogue.named(kind.name, mesh, name)
  if (plain.length > 1) {
    const names = plain.map((key) => shownName(kind, { key }, plane.origin)).join(', ')
    throw new ApiError(409, 'Conflict', `${plain.length} resources have the name "${name}": use one of ${names}`)
  }
  return plain[0] && (await plane.store.get(plain[0]))?.row
}

/** The keys whose hashed name may begin with this display name. A long name was cut, so all keys are searched. */
async function hashedFrom(plane: ApiPlane, kind: Kind, mesh: string, display: string): Promise<readonly ResourceKey[]> {
  if (display.length < displayMax) return plane.catalogue.named(kind.name, mesh, display)
  const all = await plane.catalogue.list(kind.name, mesh)
  return all.slice(0, all.total).filter(({ name }) => name.startsWith(display))
}

/** Refuses with 404 and Kuma's text if the mesh in a URL does not exist. */
export async function requireMesh(plane: ApiPlane, mesh: string): Promise<Row> {
  for (const origin of new Set([plane.origin, globalOrigin])) {
    const version = await plane.store.get({ origin, kind: 'Mesh', mesh: '', name: mesh })
    if (version?.row) return version.row
  }
  throw notFound('Failed to retrieve Mesh', `there is no mesh "${mesh}": create it with a document of type Mesh`)
}

export const isWritable = (plane: ApiPlane, kind: Kind): boolean =>
  plane.role === 'standalone' || (plane.role === 'global' ? kind.writable.global : kind.writable.zone)

function requireWritable(plane: ApiPlane, kind: Kind): void {
  if (isWritable(plane, kind)) return
  const where =
    plane.role === 'global'
      ? `${kind.name} resources belong to zones: write them to the API of their zone`
      : `${kind.name} resources belong to the global control plane: write them to its API (${plane.globalApi})`
  throw new ApiError(405, 'Method not allowed', where)
}

/** Labels that the plane computes from the origin and kind of a resource. Given labels must agree with them. */
function computedLabels(
  plane: ApiPlane,
  admitted: Admitted,
): { labels: Record<string, string>; violations: Violation[] } {
  const { kind, mesh, labels, spec } = admitted
  // As in Kuma, secrets have no computed mesh label.
  const computed: Record<string, string> = kind.scope === 'mesh' && !kind.adminOnly ? { [meshLabel]: mesh } : {}
  if (kind.writable.zone && plane.role !== 'global') {
    computed[originLabel] = 'zone'
    computed[zoneLabel] = plane.origin
    computed['kuma.io/env'] = 'universal'
    const proxyType = proxyTypeOf(kind.name, spec)
    if (proxyType !== undefined) computed[proxyTypeLabel] = proxyType
  }
  const violations: Violation[] = []
  const expected: Record<string, string> = { [meshLabel]: mesh }
  if (plane.role === 'global') expected[originLabel] = 'global'
  else expected[zoneLabel] = plane.origin
  for (const [label, value] of Object.entries(expected)) {
    const given = labels[label]
    if (given !== undefined && given !== value && !(label === meshLabel && kind.scope !== 'mesh')) {
      violations.push({ field: `labels["${label}"]`, reason: `must be "${value}" here, found "${given}"` })
    }
  }
  if (labels[displayNameLabel] !== undefined && labels[displayNameLabel] !== admitted.name) {
    violations.push({ field: `labels["${displayNameLabel}"]`, reason: `must be the name, "${admitted.name}"` })
  }
  return { labels: { ...labels, ...computed }, violations }
}

/** Completes a spec before it is stored: adds the zone to tags, and seals secrets. */
export function completeSpec(
  plane: Pick<ApiPlane, 'role' | 'origin' | 'sealer'>,
  kind: Kind,
  spec: JsonObject,
): JsonObject {
  if (kind.name === 'Secret' || kind.name === 'GlobalSecret') {
    return { sealed: plane.sealer.seal(String(spec['data'] ?? '')) }
  }
  if (isZoneProxy(kind.name)) {
    // The services of an ingress are composed on read.
    const { availableServices: _composed, ...rest } = spec
    return { ...rest, zone: plane.origin }
  }
  if (kind.name !== 'Dataplane') return spec
  // The spec was admitted by the schema of its kind.
  const { networking, ...rest } = spec as DataplaneSpec
  const tag = { [zoneTag]: plane.origin }
  const inbound = networking?.inbound?.map((entry) => ({ ...entry, tags: { ...entry.tags, ...tag } }))
  const gateway = networking?.gateway
    ? { ...networking.gateway, tags: { ...networking.gateway.tags, ...tag } }
    : undefined
  const completed = {
    ...rest,
    networking: { ...networking, ...(inbound ? { inbound } : {}), ...(gateway ? { gateway } : {}) },
  }
  return toJson(completed)
}

/** An admitted document, ready to be committed. */
export interface Prepared {
  readonly admitted: Admitted
  readonly key: ResourceKey
  readonly existing: Row | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
  /** Secrets that are written with it: the keys that were inline in the document. */
  readonly secrets: readonly Change[]
}

/** Admits a document and completes it. Throws an ApiError with all violations. Does not look up `knownMeshes`. */
export async function prepare(
  plane: ApiPlane,
  user: User,
  document: unknown,
  knownMeshes: ReadonlySet<string> = new Set(),
): Promise<Prepared> {
  const result = admit(document)
  if (!result.ok) {
    const { detail, violations } = result.error
    throw violations.some(({ field }) => field === 'type')
      ? badRequest(detail, violations)
      : new ApiError(400, 'Could not process a resource', detail, violations)
  }
  const admitted = result.value
  const { kind, mesh, name } = admitted
  if (kind.adminOnly) requireAdmin(user, `access the resource of type "${kind.name}"`)
  requireAdmin(user, `write the resource of type "${kind.name}"`)
  requireWritable(plane, kind)
  if (kind.scope === 'mesh' && !knownMeshes.has(mesh)) await requireMesh(plane, mesh)
  const key = { origin: plane.origin, kind: kind.name, mesh, name }
  const existing = (await plane.store.get(key))?.row
  const { labels, violations } = computedLabels(plane, admitted)
  // The spec was admitted by the schema of its kind.
  const faults = kind.name === 'Mesh' ? await checkProvided(plane, name, admitted.spec as MeshSpec) : []
  const found = [
    ...violations,
    ...placementFaults(kind, admitted.spec, plane.placement),
    ...faults.filter(({ isMissing }) => !isMissing).map(({ field, reason }) => ({ field, reason })),
  ]
  const warnings = faults
    .filter(({ isMissing }) => isMissing)
    .map(({ field, reason }) => `${field}: ${reason}; the authority is used when the secret exists`)
  if (found.length > 0) throw invalid(existing ? 'Failed to update a resource' : 'Failed to create a resource', found)
  const moved = await moveInlineKeys(plane, kind.name, kind.name === 'Mesh' ? name : mesh, admitted.spec)
  return {
    admitted: { ...admitted, warnings: [...admitted.warnings, ...deprecations(kind, name), ...warnings] },
    key,
    existing,
    labels,
    spec: sameSecretOf(plane, kind, existing, moved.spec) ?? completeSpec(plane, kind, moved.spec),
    secrets: moved.secrets,
  }
}

const sameSecretOf = (plane: ApiPlane, kind: Kind, existing: Row | undefined, spec: JsonObject) =>
  kind.adminOnly ? sameSecret(plane.sealer, existing, String(spec['data'] ?? '')) : undefined

/** Warnings for names that Kuma deprecates, because they cannot be part of a host name. */
function deprecations(kind: Kind, name: string): string[] {
  const isLabel = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
  if (isLabel || (kind.name !== 'Mesh' && kind.name !== 'Zone')) return []
  const rule =
    'lower-case letters, digits and "-", beginning with a letter and not ending with "-", at most 63 characters'
  return [`name: "${name}" is not a DNS label (${rule}); such names of a ${kind.name} are deprecated`]
}

/** Parses an If-Match header: `"<store>@<revision>.<commit>"`. */
export function ifMatch(plane: ApiPlane, header: string | undefined): { readonly revision: number } | undefined {
  if (header === undefined) return undefined
  const position = parsePosition(header.replace(/^(W\/)?"|"$/g, ''))
  if (!position || position.store !== plane.store.id)
    throw new ApiError(412, 'Precondition failed', `If-Match ${header} is not a revision of this store`)
  return { revision: position.revision }
}

/** Refuses with 412 if an expectation of a commit failed. Returns the successful outcome otherwise. */
export function committed(outcome: CommitOutcome): Extract<CommitOutcome, { ok: true }> {
  if (outcome.ok) return outcome
  const detail = outcome.conflicts
    .map(({ key, found }) => `${key.kind} "${key.name}" is at revision ${found ?? 'none (absent)'}`)
    .join('; ')
  throw new ApiError(412, 'Precondition failed', detail)
}

/** Refuses a deletion on which other rows or sessions depend, or that belongs to another plane. */
export async function checkDeletion(plane: ApiPlane, kind: Kind, row: Row): Promise<void> {
  if (row.key.origin !== plane.origin) {
    throw new ApiError(
      405,
      'Method not allowed',
      `this ${kind.name} belongs to ${row.key.origin === globalOrigin ? `the global control plane (${plane.globalApi})` : `zone "${row.key.origin}"`}: delete it there`,
    )
  }
  if (kind.name === 'Mesh') {
    const dataplanes = await allRows(plane, { kind: 'Dataplane', mesh: row.key.name })
    if (dataplanes.length > 0)
      throw invalid('Could not delete a resource', [
        { field: 'mesh', reason: `unable to delete mesh, there are still ${dataplanes.length} dataplanes attached` },
      ])
  }
  if (kind.name === 'Zone' && plane.isZoneOnline(row.key.name)) {
    throw invalid('Could not delete a resource', [
      { field: 'zone', reason: 'unable to delete Zone, Zone CP is still connected, please shut it down first' },
    ])
  }
}
