import { type Kind, nearest } from '@zonemesh/core/kinds/kind.ts'
import { unservedReason } from '@zonemesh/core/kinds/unserved.ts'
import { findKind, findKindByPath, publicKinds } from '@zonemesh/core/registry.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import { newestCommits } from '../history/commits.ts'
import type { KeyFilter } from '../history/differences.ts'
import { belowHorizon, type RevisionRefusal, resolveRevision } from '../history/revisions.ts'
import { ApiError, badRequest, notFound } from './errors.ts'
import { isAdmin, type User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { allRows, findRow } from './resources.ts'

/** The target of a history request: one resource, the resources of a kind or mesh, or everything. */
export interface HistoryTarget {
  readonly kind: Kind | undefined
  readonly name: string | undefined
  readonly mesh: string | undefined
}

/** Finds a kind by its name or by its path in URLs. */
function kindOf(text: string): Kind {
  const kind = findKind(text) ?? findKindByPath(text)
  if (kind && !kind.internal) return kind
  const names = publicKinds.map(({ name }) => name)
  const candidate = nearest(text, names)
  const hint = candidate ? `; did you mean "${candidate}"?` : ''
  const unserved = unservedReason(text)
  throw badRequest(unserved ?? `unknown kind "${text}"${hint}`, [
    { field: 'kind', reason: unserved ?? `unknown kind "${text}"`, choices: names },
  ])
}

/** Parses a target. The mesh of a named resource defaults to `default`, if its kind has mesh scope. */
export function parseTarget(given: {
  kind?: string | undefined
  name?: string | undefined
  mesh?: string | undefined
}): HistoryTarget {
  const kind = given.kind ? kindOf(given.kind) : undefined
  const name = given.name || undefined
  const mesh = given.mesh || undefined
  if (name !== undefined && !kind)
    throw badRequest(`expected kind and name of a resource, found only the name "${name}"`)
  return { kind, name, mesh: name === undefined ? mesh : kind?.scope === 'mesh' ? (mesh ?? 'default') : undefined }
}

/** Selects the keys that a user may read. Rows of other zones are left out unless `everywhere` is true. */
export function filterFor(
  plane: ApiPlane,
  user: User,
  { kind, name, mesh }: HistoryTarget,
  { everywhere }: { readonly everywhere: boolean },
): KeyFilter {
  return (key) => {
    const found = findKind(key.kind)
    if (!found || found.internal || (kind && kind !== found)) return undefined
    if (found.adminOnly && !isAdmin(user)) return undefined
    if (!everywhere && key.origin !== plane.origin && key.origin !== globalOrigin) return undefined
    if (name !== undefined && key.name !== name) return undefined
    // A Mesh resource belongs to its own mesh.
    const inMesh = mesh === undefined || key.mesh === mesh || (found.name === 'Mesh' && key.name === mesh)
    return inMesh ? found : undefined
  }
}

function refused({ status, reason }: RevisionRefusal): ApiError {
  switch (status) {
    case 400:
      return badRequest(reason)
    case 404:
      return notFound('Could not find a revision', reason)
    case 410:
      return new ApiError(410, 'Gone', reason)
  }
}

/** Converts a HorizonError into a refusal: the horizon may pass a revision while it is being read. */
export async function withHorizon<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (thrown) {
    if (!(thrown instanceof HorizonError)) throw thrown
    throw refused(belowHorizon(thrown.horizon - 1, thrown.horizon))
  }
}

/** The revision that a text means for a target; `@-1` counts back versions of one resource, or commits. */
export async function revisionOf(plane: ApiPlane, user: User, target: HistoryTarget, text: string): Promise<number> {
  const found = await resolveRevision(plane.store, text, async (steps) => {
    if (target.kind && target.name !== undefined) {
      const versions = await plane.store.history(await keyOf(plane, target.kind, target.mesh ?? '', target.name))
      return versions[steps]?.revision
    }
    const filter = filterFor(plane, user, target, { everywhere: false })
    const deps = { store: plane.store, origin: plane.origin, trail: undefined }
    let before: number | undefined = Number.MAX_SAFE_INTEGER
    for (let left = steps; before !== undefined; ) {
      const page = await newestCommits(deps, { before, limit: left + 1, all: false, filter })
      const last = page.items[left]
      if (last) return Number(last.short.slice(1))
      left -= page.items.length
      before = page.next
    }
    return undefined
  })
  if (found.ok) return found.value
  throw refused(found.error)
}

/** Finds the key of a live or deleted resource, of this plane, of the global or of a zone. */
export async function keyOf(plane: ApiPlane, kind: Kind, mesh: string, name: string): Promise<ResourceKey> {
  const live = await findRow(plane, kind, mesh, name)
  if (live) return live.key
  const zones = await plane.store.scan({ kind: 'Zone' })
  for (const origin of new Set([plane.origin, globalOrigin, ...zones.map((row) => row.key.name)])) {
    const key = { origin, kind: kind.name, mesh, name }
    if ((await plane.store.history(key)).length > 0) return key
  }
  const rows = await allRows(plane, { kind: kind.name, ...(kind.scope === 'mesh' ? { mesh } : {}) })
  const candidate = nearest(
    name,
    rows.map((row) => row.key.name),
  )
  const where = kind.scope === 'mesh' ? ` in mesh "${mesh}"` : ''
  const hint = candidate ? `; did you mean "${candidate}"?` : ''
  throw new ApiError(
    404,
    'Could not retrieve a history',
    `there is no ${kind.name} "${name}"${where}, neither live nor in the kept history${hint}`,
  )
}
