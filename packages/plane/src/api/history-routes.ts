import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { newestCommits } from '../history/commits.ts'
import { differences, shownDifference } from '../history/differences.ts'
import { resourceName } from '../history/documents.ts'
import { horizonOf } from '../history/revisions.ts'
import { versionEntries } from '../history/versions.ts'
import { badRequest } from './errors.ts'
import { filterFor, type HistoryTarget, keyOf, parseTarget, revisionOf, withHorizon } from './history-query.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { rollback, rollbackRequest } from './rollback.ts'
import type { Answer, Call, Handler, Router } from './route.ts'
import { objectShape, schemaShape } from './shape.ts'

const limitDefault = 50
const limitMax = 1000

const targetOf = ({ query }: Call): HistoryTarget =>
  parseTarget({
    kind: query.get('kind') ?? undefined,
    name: query.get('name') ?? undefined,
    mesh: query.get('mesh') ?? undefined,
  })

/** `GET /_history?kind=&name=[&mesh=]`: every kept version of a resource, newest first. */
async function ofResource(plane: ApiPlane, call: Call, kind: Kind, mesh: string, name: string): Promise<Answer> {
  if (kind.adminOnly) requireAdmin(call.user, `access the resource of type "${kind.name}"`)
  const key = await keyOf(plane, kind, mesh, name)
  const items = await versionEntries(plane.store, kind, key, plane.trail)
  const horizon = `@${await horizonOf(plane.store)}`
  return { status: 200, body: { ...resourceName(kind, key, plane.origin), total: items.length, items, horizon } }
}

function numberFrom(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name)
  if (text === null) return fallback
  const value = Number(text.replace(/^@/, ''))
  if (/^@?\d{1,15}$/.test(text) && value >= 1 && value <= max) return value
  throw badRequest(`${name}: expected a number from 1 to ${max}, found "${text}"`)
}

/** `GET /_history[?kind=&mesh=&before=&limit=&all=true]`: commits, newest first. */
async function ofCommits(plane: ApiPlane, call: Call, what: HistoryTarget): Promise<Answer> {
  const { query, user } = call
  const all = query.get('all') === 'true'
  // The intents of commits may name secrets and keys.
  if (all) requireAdmin(user, 'read all commits')
  const before = numberFrom(query, 'before', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  const limit = numberFrom(query, 'limit', limitDefault, limitMax)
  const filter = filterFor(plane, user, what, { everywhere: all })
  const { store, origin, trail } = plane
  const page = await newestCommits({ store, origin, trail }, { before, limit, all, filter })
  const horizon = `@${await horizonOf(store)}`
  return { status: 200, body: { items: page.items, next: page.next ?? null, horizon } }
}

/**
 * `GET /_diff?from=@a[&to=@b][&kind=&name=&mesh=&all=true]`: the differences between two revisions, with both
 * documents.
 */
async function diff(plane: ApiPlane, call: Call): Promise<Answer> {
  const { query, user } = call
  const what = targetOf(call)
  const from = query.get('from')
  if (from === null) throw badRequest('from: expected a revision such as @12 or @-1, found none')
  const range = {
    from: await revisionOf(plane, user, what, from),
    to: await revisionOf(plane, user, what, query.get('to') ?? '@head'),
  }
  const filter = filterFor(plane, user, what, { everywhere: query.get('all') === 'true' })
  const found = await differences(plane.store, range.from, range.to, filter)
  const items = found.map((difference) => shownDifference(difference, plane.origin))
  return { status: 200, body: { from: `@${range.from}`, to: `@${range.to}`, total: items.length, items } }
}

const target = {
  kind: 'only resources of this kind, by its name or its path',
  name: 'only the resource with this name; it needs `kind`',
  mesh: 'only resources of this mesh; `default` for a named resource',
}
const all = '`true`: also resources of other planes and internal rows'

/** Registers the history for users: who wrote what, when and why, which zones ran it, and rollback. */
export function registerHistory(route: Router): void {
  const answers = (what: string) => ({ 200: { what, shape: objectShape } })
  const history: Handler = (plane, call) => {
    const what = targetOf(call)
    const { kind, name, mesh } = what
    return kind && name !== undefined ? ofResource(plane, call, kind, mesh ?? '', name) : ofCommits(plane, call, what)
  }
  route('GET', '/_history', (plane, call) => withHorizon(async () => history(plane, call)), {
    group: 'History',
    summary: 'Lists the versions of a resource, or commits, newest first',
    access: 'readers',
    query: {
      ...target,
      before: 'only commits before this revision; `next` of a page has it',
      limit: `the commits of a page, from 1 to ${limitMax}; ${limitDefault} by default`,
      all: `${all}; only for administrators`,
    },
    answers: answers('the versions of the named resource, otherwise one page of commits'),
  })
  route('GET', '/_diff', (plane, call) => withHorizon(() => diff(plane, call)), {
    group: 'History',
    summary: 'Shows the differences between two revisions',
    access: 'readers',
    query: {
      from: 'a revision: `@12`, or `@-1` for the one before the last; required',
      to: 'a revision; `@head` by default',
      ...target,
      all,
    },
    answers: answers('each resource that differs, with both documents'),
  })
  route('POST', '/_rollback', (plane, call) => withHorizon(() => rollback(plane, call)), {
    group: 'History',
    summary: 'Restores resources to their versions at a revision, in one commit',
    access: 'administrators',
    body: schemaShape(rollbackRequest),
    answers: {
      ...answers('the outcome of each resource'),
      400: { what: 'a resource is refused, and nothing was written', shape: objectShape },
    },
  })
}
