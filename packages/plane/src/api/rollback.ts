import type { Kind, Violation } from '@zonemesh/core/kinds/kind.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { type Change, positionText } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'
import { type Difference, differences, type RowDifference, shownDifference } from '../history/differences.ts'
import { documentOf } from '../history/documents.ts'
import { ApiError, badRequest } from './errors.ts'
import { asked, keyOf, revisionOf, wantedBy } from './history-query.ts'
import { requireAdmin, type User } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { removalsToConfirm, requireConfirmed, rowsInMesh } from './removals.ts'
import { checkDeletion, committed, isWritable, prepare } from './resources.ts'
import type { Answer, Call } from './route.ts'

const rollbackRequest = z.strictObject({
  to: z.string(),
  kind: z.string().optional(),
  name: z.string().optional(),
  mesh: z.string().optional(),
  dryRun: z.boolean().default(false),
  /** How many resources are meant to go: required where they are very many. */
  confirmRemovals: z.number().int().optional(),
})

const changesMax = 1000

/** What becomes of one resource: `before` is what it is now, `after` what it was then. */
export interface RollbackOutcome extends Difference {
  /** `skipped`: it would be changed, but another resource is refused. */
  readonly outcome: 'created' | 'changed' | 'deleted' | 'refused' | 'skipped'
  readonly detail?: string
  readonly violations?: readonly Violation[]
  readonly warnings?: readonly string[]
}

/** A resource that differs and stays as it is. */
interface Left {
  readonly type: string
  readonly mesh?: string
  readonly name: string
  readonly reason: string
}

/** What a rollback of everything leaves alone, and why. A resource that is named is rolled back all the same, but for keys. */
function leftAlone(plane: ApiPlane, { kind, key }: RowDifference, isNamed: boolean): string | undefined {
  // The names that this plane gives to its own keys: what they signed would be worth nothing.
  if (kind.adminOnly && key.name.includes('-token-signing-key-')) return 'a signing key of this control plane'
  if (!isWritable(plane, kind)) return 'not written on this control plane'
  if (isNamed) return undefined
  if (kind.name === 'Zone') return 'a zone is a place, not a setting: name it to roll it back'
  return kind.writable.zone ? 'describes what exists, not what is wanted: name it to roll it back' : undefined
}

/** The changes of one resource, judged as if somebody wrote them now. Throws an ApiError with everything that is wrong. */
async function changesOf(
  plane: ApiPlane,
  user: User,
  { kind, key, before, after }: RowDifference,
  meshes: ReadonlySet<string>,
): Promise<{ readonly changes: readonly Change[]; readonly warnings: readonly string[] }> {
  const present = await plane.store.get(key)
  const expect = present?.row ? { revision: present.revision } : ({ absent: true } as const)
  if (after) {
    // What is closed is opened for admission, and put back as it lay: it is to be what it was.
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

/** Own rows go with their mesh, those that nobody sees included. */
async function removalsOf(plane: ApiPlane, mesh: Row): Promise<Change[]> {
  return (await rowsInMesh(plane, mesh.key.name)).map((row): Change => ({ op: 'delete', key: row.key }))
}

async function planRollback(plane: ApiPlane, user: User, found: readonly RowDifference[]) {
  // Whatever stands in a mesh that comes back needs it first.
  const isMesh = (kind: Kind) => kind.name === 'Mesh'
  const meshes = new Set(found.filter(({ kind, after }) => isMesh(kind) && after).map(({ key }) => key.name))
  const changeByKey = new Map<string, Change>()
  const outcomes: RollbackOutcome[] = []
  for (const one of found) {
    const shown = shownDifference(one, plane.origin)
    try {
      const { changes, warnings } = await changesOf(plane, user, one, meshes)
      for (const change of changes) {
        const text = keyText(change.key)
        // The change of a resource itself says more than that it goes with its mesh.
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
 * `POST /_rollback`: one commit that makes own resources what they were at a revision. Each is admitted anew; if one is refused,
 * nothing is written. The log goes on: a rollback can be rolled back.
 */
export async function rollback(plane: ApiPlane, call: Call): Promise<Answer> {
  const { user } = call
  requireAdmin(user, 'roll back')
  const parsed = rollbackRequest.safeParse(call.body)
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw badRequest(issues.join('; '))
  }
  if (plane.role === 'zone') {
    const where = `resources belong to the global control plane: roll back there (${plane.writeElsewhere})`
    throw new ApiError(405, 'Method not allowed', where)
  }
  const { to, dryRun, confirmRemovals, ...rest } = parsed.data
  const what = asked(rest)
  const isNamed = what.name !== undefined
  // A name that never was is said to be unknown, not unchanged.
  if (what.kind && what.name !== undefined) await keyOf(plane, what.kind, what.mesh ?? '', what.name)
  const target = await revisionOf(plane, user, what, to)
  const wanted = wantedBy(plane, user, what, { everywhere: false })
  const head = await plane.store.head()
  const all = await differences(plane.store, head.revision, target, (key) =>
    key.origin === plane.origin ? wanted(key) : undefined,
  )
  const left = all.flatMap((one): Left[] => {
    const reason = leftAlone(plane, one, isNamed)
    const { type, mesh, name } = shownDifference(one, plane.origin)
    return reason === undefined ? [] : [{ type, ...(mesh === undefined ? {} : { mesh }), name, reason }]
  })
  const found = all.filter((one) => leftAlone(plane, one, isNamed) === undefined)
  const { changes, outcomes } = await planRollback(plane, user, found)
  if (changes.length > changesMax) {
    const reason = `the rollback takes ${changes.length} changes, more than ${changesMax} in one commit: roll back one kind or mesh at a time`
    throw badRequest(reason)
  }
  const removals = await removalsToConfirm(plane, changes)
  const body = { to: `@${target}`, dryRun, left, ...(removals > 0 ? { confirmRemovals: removals } : {}) }
  if (outcomes.some(({ outcome }) => outcome === 'refused')) {
    const told = outcomes.map((one) => (one.outcome === 'refused' ? one : { ...one, outcome: 'skipped' as const }))
    return { status: 400, body: { ...body, revision: positionText(head), outcomes: told } }
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
