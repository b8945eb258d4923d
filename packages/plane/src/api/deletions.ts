import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'
import { ApiError, badRequest, notFound } from './errors.ts'
import { requireAdmin, type User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { removalOf } from './removals.ts'
import { checkDeletion, findRow, isWritable, requireMesh } from './resources.ts'

/** A resource that a commit deletes. Further fields are ignored, so that a caller can send the document itself. */
export const deletion = z.object({ type: z.string(), mesh: z.string().default(''), name: z.string() })
type Deletion = z.infer<typeof deletion>

/** Finds a resource that this plane may delete. Throws an ApiError with the reason otherwise. */
export async function deletable(plane: ApiPlane, user: User, kind: Kind, mesh: string, name: string): Promise<Row> {
  requireAdmin(user, `delete the resource of type "${kind.name}"`)
  if (mesh !== '') await requireMesh(plane, mesh)
  const row = await findRow(plane, kind, mesh, name)
  if (!isWritable(plane, kind)) {
    const where =
      plane.role === 'global'
        ? 'delete them on the control plane of their zone'
        : `delete them at the API of the global control plane (${plane.globalApi})`
    throw new ApiError(405, 'Method not allowed', `${kind.name} resources belong to another control plane: ${where}`)
  }
  if (!row) throw notFound('Could not delete a resource')
  await checkDeletion(plane, kind, row)
  return row
}

/** One admitted deletion of a commit, with all rows that it deletes. */
export interface Removal {
  readonly kind: Kind
  readonly row: Row
  readonly changes: readonly Change[]
}

/** Judges a deletion of a commit that also writes documents with these keys. */
export async function prepareDeletion(
  plane: ApiPlane,
  user: User,
  { type, mesh, name }: Deletion,
  writes: readonly { readonly kind: string; readonly mesh: string; readonly name: string }[],
): Promise<Removal> {
  const kind = publicKinds.find((known) => known.name === type)
  if (!kind) throw badRequest(`unknown type "${type}"`)
  const row = await deletable(plane, user, kind, kind.scope === 'mesh' ? mesh || 'default' : '', name)
  const writesInto = writes.find((write) => kind.name === 'Mesh' && write.mesh === row.key.name)
  if (writesInto) throw badRequest(`the same commit writes ${writesInto.kind} "${writesInto.name}" into this mesh`)
  if (writes.some((write) => write.kind === kind.name && write.mesh === row.key.mesh && write.name === row.key.name))
    throw badRequest('one commit both writes and deletes the same resource')
  return { kind, row, changes: await removalOf(plane, kind, row) }
}

/** All changes, each once: a resource may be listed beside the mesh that is deleted with it. */
export const changesOf = (removals: Iterable<Removal>): Change[] => [
  ...new Map([...removals].flatMap(({ changes }) => changes.map((change) => [keyText(change.key), change]))).values(),
]
