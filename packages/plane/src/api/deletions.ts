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

/** A resource that a commit deletes. More than its name may be given, so that a document can stand here as it is. */
export const deletion = z.object({ type: z.string(), mesh: z.string().default(''), name: z.string() })
type Deletion = z.infer<typeof deletion>

/** A resource that may be deleted here, if it is there and belongs to this plane. Throws an ApiError with the reason if not. */
export async function deletable(plane: ApiPlane, user: User, kind: Kind, mesh: string, name: string): Promise<Row> {
  requireAdmin(user, `delete the resource of type "${kind.name}"`)
  if (mesh !== '') await requireMesh(plane, mesh)
  const row = await findRow(plane, kind, mesh, name)
  if (!isWritable(plane, kind)) {
    const where =
      plane.role === 'global'
        ? 'delete them on their zone'
        : `delete them on the global control plane (${plane.writeElsewhere})`
    throw new ApiError(405, 'Method not allowed', `${kind.name} resources are not deleted here: ${where}`)
  }
  if (!row) throw notFound('Could not delete a resource')
  await checkDeletion(plane, kind, row)
  return row
}

/** One deletion of a commit, judged: what goes, with what goes along. */
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
  const kind = publicKinds.find((one) => one.name === type)
  if (!kind) throw badRequest(`unknown type "${type}"`)
  const row = await deletable(plane, user, kind, kind.scope === 'mesh' ? mesh || 'default' : '', name)
  const writesInto = writes.find((one) => kind.name === 'Mesh' && one.mesh === row.key.name)
  if (writesInto) throw badRequest(`the same commit writes ${writesInto.kind} "${writesInto.name}" into this mesh`)
  if (writes.some((one) => one.kind === kind.name && one.mesh === row.key.mesh && one.name === row.key.name))
    throw badRequest('the same resource is written and deleted in one commit')
  return { kind, row, changes: await removalOf(plane, kind, row) }
}

/** What goes with its mesh may be named too: once is enough. */
export const changesOf = (removals: Iterable<Removal>): Change[] => [
  ...new Map([...removals].flatMap(({ changes }) => changes.map((change) => [keyText(change.key), change]))).values(),
]
