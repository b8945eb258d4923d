import { type Kind, nearest } from '@zonemesh/core/kinds/kind.ts'
import { findKind, findKindByPath, publicKinds } from '@zonemesh/core/registry.ts'
import { globalOrigin, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import { newestCommits } from '../history/commits.ts'
import type { Wanted } from '../history/differences.ts'
import { belowHorizon, type RevisionRefusal, resolveRevision } from '../history/revisions.ts'
import { ApiError, badRequest } from './errors.ts'
import { isAdmin, type User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { allRows, findRow } from './resources.ts'

/** What a call is about: one resource, the resources of a kind or mesh, or everything. */
export interface Asked {
  readonly kind: Kind | undefined
  readonly name: string | undefined
  readonly mesh: string | undefined
}

/** A kind by its name or its path in URLs. */
function kindNamed(text: string): Kind {
  const kind = findKind(text) ?? findKindByPath(text)
  if (kind && !kind.internal) return kind
  const names = publicKinds.map((one) => one.name)
  const candidate = nearest(text, names)
  const hint = candidate ? `; did you mean "${candidate}"?` : ''
  throw badRequest(`unknown kind "${text}"${hint}`, [
    { field: 'kind', reason: `unknown kind "${text}"`, choices: names },
  ])
}

/** A kind of mesh scope stands in the mesh `default` unless another one is named. */
export function asked(given: {
  kind?: string | undefined
  name?: string | undefined
  mesh?: string | undefined
}): Asked {
  const kind = given.kind ? kindNamed(given.kind) : undefined
  const name = given.name || undefined
  const mesh = given.mesh || undefined
  if (name !== undefined && !kind) throw badRequest(`a resource is named by kind and name: "${name}" has no kind`)
  return { kind, name, mesh: name === undefined ? mesh : kind?.scope === 'mesh' ? (mesh ?? 'default') : undefined }
}

/** What planes of other zones wrote is left out unless `everywhere`; what only admins read, for all others. */
export function wantedBy(
  plane: ApiPlane,
  user: User,
  { kind, name, mesh }: Asked,
  { everywhere }: { readonly everywhere: boolean },
): Wanted {
  return (key) => {
    const found = findKind(key.kind)
    if (!found || found.internal || (kind && kind !== found)) return undefined
    if (found.adminOnly && !isAdmin(user)) return undefined
    if (!everywhere && key.origin !== plane.origin && key.origin !== globalOrigin) return undefined
    if (name !== undefined && key.name !== name) return undefined
    // A mesh is a part of itself.
    const inMesh = mesh === undefined || key.mesh === mesh || (found.name === 'Mesh' && key.name === mesh)
    return inMesh ? found : undefined
  }
}

const refused = ({ status, reason }: RevisionRefusal): ApiError =>
  new ApiError(status, { 400: 'Bad Request', 404: 'Could not find a revision', 410: 'Gone' }[status], reason)

/** Everything here reads old revisions, and the horizon may pass while one is being read. */
export async function withHorizon<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (thrown) {
    if (!(thrown instanceof HorizonError)) throw thrown
    throw refused(belowHorizon(thrown.horizon - 1, thrown.horizon))
  }
}

/** The revision that a text means for what is asked; `@-1` counts versions of one resource, or commits. */
export async function revisionOf(plane: ApiPlane, user: User, what: Asked, text: string): Promise<number> {
  const found = await resolveRevision(plane.store, text, async (steps) => {
    if (what.kind && what.name !== undefined) {
      const versions = await plane.store.history(await keyOf(plane, what.kind, what.mesh ?? '', what.name))
      return versions[steps]?.revision
    }
    const wanted = wantedBy(plane, user, what, { everywhere: false })
    const deps = { store: plane.store, origin: plane.origin, trail: undefined }
    let before: number | undefined = Number.MAX_SAFE_INTEGER
    for (let left = steps; before !== undefined; ) {
      const page = await newestCommits(deps, { before, limit: left + 1, all: false, wanted })
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

/** The key of a resource that is there, or was: our own, the global's, a zone's. */
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
    `there is no ${kind.name} "${name}"${where}, and none in the history that is kept${hint}`,
  )
}
