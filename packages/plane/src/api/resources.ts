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
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import { type Change, type CommitOutcome, parsePosition, type Selection } from '@zonemesh/shared/store/store.ts'
import { moveInlineKeys } from '../authority/inline-keys.ts'
import { checkProvided } from '../authority/provided.ts'
import { ApiError, badRequest, invalid, notFound } from './errors.ts'
import { requireAdmin, type User } from './identity.ts'
import { displayMax, displayOf, shownName } from './names.ts'
import { placementFaults } from './placement.ts'
import type { ApiPlane } from './plane.ts'

const pageRows = 1000

/** All live rows of a selection, by mesh, then name, as lists are shown. */
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

/** The rows of these keys that are still there. */
export async function rowsOf(plane: Pick<ApiPlane, 'store'>, keys: readonly ResourceKey[]): Promise<Row[]> {
  const versions = await Promise.all(keys.map((key) => plane.store.get(key)))
  return versions.flatMap((version) => version?.row ?? [])
}

/** The origins whose row of this name would be shown under that very name. */
const plainOrigins = (plane: ApiPlane, kind: Kind): readonly string[] =>
  kind.fixedName && plane.origin !== globalOrigin ? [plane.origin, globalOrigin] : [plane.origin]

/**
 * One row by the name an API shows, or by its plain name when exactly one row has it. Several rows of that plain name:
 * 409 with their shown names.
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
    throw new ApiError(409, 'Conflict', `${plain.length} resources are called "${name}": ${names}`)
  }
  return plain[0] && (await plane.store.get(plain[0]))?.row
}

/** The keys whose hashed name may begin so. A long name was cut, so it is found among all. */
async function hashedFrom(plane: ApiPlane, kind: Kind, mesh: string, display: string): Promise<readonly ResourceKey[]> {
  if (display.length < displayMax) return plane.catalogue.named(kind.name, mesh, display)
  const all = await plane.catalogue.list(kind.name, mesh)
  return all.slice(0, all.total).filter(({ name }) => name.startsWith(display))
}

/** 404 in the words of Kuma when the mesh in a URL does not exist. */
export async function requireMesh(plane: ApiPlane, mesh: string): Promise<Row> {
  for (const origin of new Set([plane.origin, globalOrigin])) {
    const version = await plane.store.get({ origin, kind: 'Mesh', mesh: '', name: mesh })
    if (version?.row) return version.row
  }
  throw notFound('Failed to retrieve Mesh')
}

export const isWritable = (plane: ApiPlane, kind: Kind): boolean =>
  plane.role === 'standalone' || (plane.role === 'global' ? kind.writable.global : kind.writable.zone)

function requireWritable(plane: ApiPlane, kind: Kind): void {
  if (isWritable(plane, kind)) return
  const where =
    plane.role === 'global'
      ? `${kind.name} resources belong to zones: write them on the zone control plane`
      : `${kind.name} resources belong to the global control plane: write them there (${plane.writeElsewhere})`
  throw new ApiError(405, 'Method not allowed', where)
}

/** Labels that follow from where and what a resource is; what the writer gave must agree. */
function computedLabels(
  plane: ApiPlane,
  admitted: Admitted,
): { labels: Record<string, string>; violations: Violation[] } {
  const { kind, mesh, labels, spec } = admitted
  // Kuma computes none for secrets.
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

/** What this plane adds to a spec before it is stored: the zone of tags, the closed secret. */
export function completeSpec(
  plane: Pick<ApiPlane, 'role' | 'origin' | 'sealer'>,
  kind: Kind,
  spec: JsonObject,
): JsonObject {
  if (kind.name === 'Secret' || kind.name === 'GlobalSecret') {
    return { sealed: plane.sealer.seal(String(spec['data'] ?? '')) }
  }
  if (isZoneProxy(kind.name)) {
    // Those of an ingress are composed when somebody looks.
    const { availableServices: _composed, ...rest } = spec
    return { ...rest, zone: plane.origin }
  }
  if (kind.name !== 'Dataplane') return spec
  // The kind says what its spec is.
  const { networking, ...rest } = spec as DataplaneSpec
  const tag = { [zoneTag]: plane.origin }
  const inbound = networking?.inbound?.map((one) => ({ ...one, tags: { ...one.tags, ...tag } }))
  const gateway = networking?.gateway
    ? { ...networking.gateway, tags: { ...networking.gateway.tags, ...tag } }
    : undefined
  const completed = {
    ...rest,
    networking: { ...networking, ...(inbound ? { inbound } : {}), ...(gateway ? { gateway } : {}) },
  }
  // Built from JSON values; the round trip drops keys that are undefined.
  return JSON.parse(JSON.stringify(completed)) as JsonObject
}

/** A document that may be committed here. */
export interface Prepared {
  readonly admitted: Admitted
  readonly key: ResourceKey
  readonly existing: Row | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
  /** Secrets that are written with it: its keys, which stood inline. */
  readonly secrets: readonly Change[]
}

/** Judges a document and completes it. Throws an ApiError with everything that is wrong. `knownMeshes` are not looked up. */
export async function prepare(
  plane: ApiPlane,
  user: User,
  document: unknown,
  knownMeshes: ReadonlySet<string> = new Set(),
): Promise<Prepared> {
  const result = admit(document)
  if (!result.ok) {
    const { detail, violations } = result.error
    throw violations.some((one) => one.field === 'type')
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
  // The kind says what its spec is.
  const faults = kind.name === 'Mesh' ? await checkProvided(plane, name, admitted.spec as MeshSpec) : []
  const found = [
    ...violations,
    ...placementFaults(kind, admitted.spec, plane.placement),
    ...faults.filter((one) => !one.isMissing).map(({ field, reason }) => ({ field, reason })),
  ]
  const warnings = faults
    .filter((one) => one.isMissing)
    .map(({ field, reason }) => `${field}: ${reason}; it is waited for`)
  if (found.length > 0) throw invalid(existing ? 'Failed to update a resource' : 'Failed to create a resource', found)
  const moved = await moveInlineKeys(plane, kind.name, kind.name === 'Mesh' ? name : mesh, admitted.spec)
  return {
    admitted: { ...admitted, warnings: [...admitted.warnings, ...deprecations(kind, name), ...warnings] },
    key,
    existing,
    labels,
    spec: completeSpec(plane, kind, moved.spec),
    secrets: moved.secrets,
  }
}

/** Names that Kuma deprecates: those that no host name can have in them. */
function deprecations(kind: Kind, name: string): string[] {
  const isLabel = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
  if (isLabel || (kind.name !== 'Mesh' && kind.name !== 'Zone')) return []
  const rule =
    'lower-case letters, digits and "-", beginning with a letter and not ending with "-", at most 63 characters'
  return [`name: "${name}" is not a DNS label (${rule}); such names of a ${kind.name} are deprecated`]
}

/** The revision in an If-Match header: `"<store>@<revision>.<commit>"`. */
export function ifMatch(plane: ApiPlane, header: string | undefined): { readonly revision: number } | undefined {
  if (header === undefined) return undefined
  const position = parsePosition(header.replace(/^(W\/)?"|"$/g, ''))
  if (!position || position.store !== plane.store.id)
    throw new ApiError(412, 'Precondition failed', `If-Match ${header} is not a revision of this store`)
  return { revision: position.revision }
}

/** 412 for a commit whose expectations did not hold; its position otherwise. */
export function committed(outcome: CommitOutcome): Extract<CommitOutcome, { ok: true }> {
  if (outcome.ok) return outcome
  const detail = outcome.conflicts
    .map(({ key, found }) => `${key.kind} "${key.name}" is at revision ${found ?? 'none (absent)'}`)
    .join('; ')
  throw new ApiError(412, 'Precondition failed', detail)
}

/** Refuses a deletion that would leave something without its ground. */
export async function checkDeletion(plane: ApiPlane, kind: Kind, row: Row): Promise<void> {
  if (row.key.origin !== plane.origin) {
    throw new ApiError(
      405,
      'Method not allowed',
      `this ${kind.name} belongs to ${row.key.origin === globalOrigin ? `the global control plane (${plane.writeElsewhere})` : `zone "${row.key.origin}"`}: delete it there`,
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
