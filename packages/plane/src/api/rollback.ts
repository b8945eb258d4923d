import type { Kind, Violation } from '@zonemesh/core/kinds/kind.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { type Change, positionText } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'
import { type Difference, differences, type RowDifference, shownDifference } from '../history/differences.ts'
import { documentOf } from '../history/documents.ts'
import { readBody } from './bodies.ts'
import { ApiError, badRequest } from './errors.ts'
import { filterFor, keyOf, parseTarget, revisionOf } from './history-query.ts'
import { requireAdmin, type User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { removalsToConfirm, requireConfirmed, rowsInMesh } from './removals.ts'
import { checkDeletion, committed, isWritable, prepare } from './resources.ts'
import type { Answer, Call } from './route.ts'

export const rollbackRequest = z.strictObject({
  to: z.string(),
  kind: z.string().optional(),
  name: z.string().optional(),
  mesh: z.string().optional(),
  dryRun: z.boolean().default(false),
  /** The number of removed resources, as the caller expects it. Required for a mass removal. */
  confirmRemovals: z.number().int().optional(),
})

const changesMax = 1000

/** `skipped`: the resource was not changed, because another one is refused. */
export const rollbackOutcomes = ['created', 'changed', 'deleted', 'refused', 'skipped'] as const

/** The outcome for one resource: `before` is its present version, `after` its version at the target revision. */
export interface RollbackOutcome extends Difference {
  readonly outcome: (typeof rollbackOutcomes)[number]
  readonly detail?: string
  readonly violations?: readonly Violation[]
  readonly warnings?: readonly string[]
}

/** A resource that differs and that the rollback does not change. */
interface KeptResource {
  readonly type: string
  readonly mesh?: string
  readonly name: string
  readonly reason: string
}

/**
 * Why a rollback does not change a resource; undefined if it does. A named resource is rolled back unless it is a
 * key.
 */
function reasonToKeep(plane: ApiPlane, { kind, key }: RowDifference, isNamed: boolean): string | undefined {
  // This plane's own signing keys, by their names. A rollback of a key would invalidate the tokens that it has signed.
  if (kind.adminOnly && key.name.includes('-token-signing-key-')) return 'a signing key of this control plane'
  if (!isWritable(plane, kind)) return 'belongs to another control plane'
  if (isNamed) return undefined
  if (kind.name === 'Zone') return 'a Zone is rolled back only if the request names it'
  return kind.writable.zone ? 'describes a running proxy: it is rolled back only if the request names it' : undefined
}

/** The changes of one resource, admitted like a new write. Throws an ApiError with all violations. */
async function changesOf(
  plane: ApiPlane,
  user: User,
  { kind, key, before, after }: RowDifference,
  meshes: ReadonlySet<string>,
): Promise<{ readonly changes: readonly Change[]; readonly warnings: readonly string[] }> {
  const present = await plane.store.get(key)
  const expect = present?.row ? { revision: present.revision } : ({ absent: true } as const)
  if (after) {
    // A secret is opened for admission only. Its sealed text is restored unchanged.
    const opened = kind.adminOnly ? await plane.decorate(kind, after) : after.spec
    const { labels, spec, admitted, secrets } = await prepare(plane, user, documentOf(kind, after, opened), meshes)
    const change = { op: 'put', key, labels, spec: kind.adminOnly ? after.spec : spec, expect } as const
    return { changes: [change, ...secrets], warnings: admitted.warnings }
  }
  if (!before) return { changes: [], warnings: [] }
  await checkDeletion(plane, kind, before)
  const removal = { op: 'delete', key, expect } as const
  return { changes: [removal, ...(kind.name === 'Mesh' ? await removalsOf(plane, before) : [])], warnings: [] }
}

/** The deletions of the own rows in a mesh, internal ones included. */
async function removalsOf(plane: ApiPlane, mesh: Row): Promise<Change[]> {
  return (await rowsInMesh(plane, mesh.key.name)).map((row): Change => ({ op: 'delete', key: row.key }))
}

async function planRollback(plane: ApiPlane, user: User, found: readonly RowDifference[]) {
  // A resource of a mesh that the rollback restores is admitted as if the mesh existed.
  const isMesh = (kind: Kind) => kind.name === 'Mesh'
  const meshes = new Set(found.filter(({ kind, after }) => isMesh(kind) && after).map(({ key }) => key.name))
  const changeByKey = new Map<string, Change>()
  const outcomes: RollbackOutcome[] = []
  for (const difference of found) {
    const shown = shownDifference(difference, plane.origin)
    try {
      const { changes, warnings } = await changesOf(plane, user, difference, meshes)
      for (const change of changes) {
        const text = keyText(change.key)
        // The change of the resource itself has an expectation; the deletion with its mesh has none.
        if (!changeByKey.has(text) || 'expect' in change) changeByKey.set(text, change)
      }
      outcomes.push({ ...shown, outcome: shown.change, ...(warnings.length > 0 ? { warnings } : {}) })
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown
      const violations = thrown.violations.length > 0 ? { violations: thrown.violations } : {}
      outcomes.push({ ...shown, outcome: 'refused', detail: thrown.message, ...violations })
    }
  }
  return { changes: [...changeByKey.values()], outcomes }
}

/**
 * `POST /_rollback`: one commit that restores own resources to their versions at a revision. Each resource is admitted
 * again. If one is refused, nothing is written. A rollback can itself be rolled back, because it is a normal commit.
 */
export async function rollback(plane: ApiPlane, call: Call): Promise<Answer> {
  const { user } = call
  requireAdmin(user, 'roll back')
  const { to, dryRun, confirmRemovals, ...rest } = readBody(rollbackRequest, call.body)
  if (plane.role === 'zone') {
    const where = `resources belong to the global control plane: roll back at its API (${plane.globalApi})`
    throw new ApiError(405, 'Method not allowed', where)
  }
  const what = parseTarget(rest)
  const isNamed = what.name !== undefined
  // Refuses a name that never existed, instead of reporting it as unchanged.
  if (what.kind && what.name !== undefined) await keyOf(plane, what.kind, what.mesh ?? '', what.name)
  const target = await revisionOf(plane, user, what, to)
  const filter = filterFor(plane, user, what, { everywhere: false })
  const head = await plane.store.head()
  const all = await differences(plane.store, head.revision, target, (key) =>
    key.origin === plane.origin ? filter(key) : undefined,
  )
  const left = all.flatMap((difference): KeptResource[] => {
    const reason = reasonToKeep(plane, difference, isNamed)
    const { type, mesh, name } = shownDifference(difference, plane.origin)
    return reason === undefined ? [] : [{ type, ...(mesh === undefined ? {} : { mesh }), name, reason }]
  })
  const found = all.filter((difference) => reasonToKeep(plane, difference, isNamed) === undefined)
  const { changes, outcomes } = await planRollback(plane, user, found)
  if (changes.length > changesMax) {
    const reason = `the rollback has ${changes.length} changes, more than ${changesMax} in one commit: roll back one kind or mesh at a time`
    throw badRequest(reason)
  }
  const removals = await removalsToConfirm(plane, changes)
  const body = { to: `@${target}`, dryRun, left, ...(removals > 0 ? { confirmRemovals: removals } : {}) }
  if (outcomes.some(({ outcome }) => outcome === 'refused')) {
    const unwritten = outcomes.map((each) =>
      each.outcome === 'refused' ? each : { ...each, outcome: 'skipped' as const },
    )
    return { status: 400, body: { ...body, revision: positionText(head), outcomes: unwritten } }
  }
  if (!dryRun) await requireConfirmed(plane, changes, confirmRemovals)
  const position =
    dryRun || changes.length === 0
      ? head
      : committed(await plane.commit({ changes, subject: user.name, intent: `rollback to @${target}`, declared: true }))
          .position
  const revision = positionText(position)
  return { status: 200, body: { ...body, revision, outcomes }, headers: { 'Zonemesh-Revision': revision } }
}
