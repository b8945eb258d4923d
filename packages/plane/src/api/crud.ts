import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { positionText } from '@zonemesh/shared/store/store.ts'
import { deletable } from './deletions.ts'
import { type Planned, plannedOutcome, plannedRemoval } from './dry-run.ts'
import { badRequest, invalid, notFound } from './errors.ts'
import { requireAdmin } from './identity.ts'
import { listPage, listQuery } from './listing.ts'
import type { ApiPlane } from './plane.ts'
import { declaration, isDeclared, removalOf, requireIntent } from './removals.ts'
import { renderParsed } from './render.ts'
import { committed, findRow, ifMatch, prepare, requireMesh } from './resources.ts'
import type { About, Answer, Call, Handler, Router } from './route.ts'
import { objectShape } from './shape.ts'

/** A row as this plane shows it, with composed fields. */
export async function show(plane: ApiPlane, kind: Kind, row: Row): Promise<JsonObject> {
  return renderParsed(kind, row, plane.origin, (parsed) => plane.decorate(kind, parsed))
}

/** The ETag of an item: the position of the commit that wrote its newest version. */
async function etag(plane: ApiPlane, row: Row): Promise<Record<string, string>> {
  const version = await plane.store.get(row.key)
  const [record] = version ? await plane.store.records({ after: version.revision - 1, limit: 1 }) : []
  return record ? { ETag: `"${positionText(record.position)}"` } : {}
}

function guard(kind: Kind, call: Call): void {
  if (kind.adminOnly) requireAdmin(call.user, `access the resource of type "${kind.name}"`)
}

async function list(plane: ApiPlane, kind: Kind, call: Call): Promise<Answer> {
  guard(kind, call)
  const { mesh } = call.params
  if (mesh !== undefined) await requireMesh(plane, mesh)
  return listPage(plane, kind, call, (row) => show(plane, kind, row))
}

async function getItem(plane: ApiPlane, kind: Kind, call: Call): Promise<Answer> {
  guard(kind, call)
  const { mesh = '', name = '' } = call.params
  if (mesh !== '') await requireMesh(plane, mesh)
  const format = call.query.get('format') ?? 'universal'
  if (format !== 'universal') throw badRequest(`bad request: format "${format}" is not served, only universal`)
  const row = await findRow(plane, kind, mesh, name)
  if (!row) throw notFound('Could not retrieve a resource')
  return { status: 200, body: await show(plane, kind, row), headers: await etag(plane, row) }
}

/** Refuses a body that names another resource than the URL. */
function checkUrl(kind: Kind, call: Call): void {
  const { body, params } = call
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw badRequest('the body is not a JSON object')
  const expected: Record<string, string | undefined> = {
    type: kind.name,
    name: params['name'],
    ...(kind.scope === 'mesh' ? { mesh: params['mesh'] } : {}),
  }
  const document: Record<string, unknown> = { ...body }
  const violations = Object.entries(expected).flatMap(([field, value]) => {
    const given = document[field]
    if (given === undefined && field === 'mesh' && kind.layout === 'nested') return []
    return given === value ? [] : [{ field, reason: `\`${field}\` from the URL has to be the same as in body` }]
  })
  if (violations.length > 0) throw invalid('Could not process a resource', violations)
}

/** Whether the caller only asks what would change, by `?dry_run=true`. Throws if the value is another word. */
function isDryRun({ query }: Call): boolean {
  const given = query.get('dry_run')
  if (given === null || given === 'true' || given === 'false') return given === 'true'
  throw badRequest(`dry_run: expected true or false, found "${given}"`)
}

const dryAnswer = (planned: Planned, warnings: readonly string[]): Answer => ({
  status: 200,
  body: { dryRun: true, ...planned, ...(warnings.length > 0 ? { warnings } : {}) },
})

async function put(plane: ApiPlane, kind: Kind, call: Call): Promise<Answer> {
  if (call.body === undefined) throw badRequest('the body is empty')
  const { mesh } = call.params
  if (mesh !== undefined) await requireMesh(plane, mesh)
  checkUrl(kind, call)
  // The body may omit the mesh: the URL decides it.
  const document = { ...(call.body as object), ...(mesh === undefined ? {} : { mesh }) }
  const prepared = await prepare(plane, call.user, document, new Set(mesh === undefined ? [] : [mesh]))
  const expect = ifMatch(plane, call.request.headers['if-match'])
  if (isDryRun(call)) return dryAnswer(plannedOutcome(plane, prepared), prepared.admitted.warnings)
  const { key, labels, spec, secrets } = prepared
  const outcome = committed(
    await plane.commit({
      changes: [{ op: 'put', key, labels, spec, ...(expect ? { expect } : {}) }, ...secrets],
      subject: call.user.name,
      intent: `PUT ${kind.name} ${key.name}`,
    }),
  )
  const revision = positionText(outcome.position)
  const { warnings } = prepared.admitted
  return {
    status: prepared.existing ? 200 : 201,
    body: warnings.length > 0 ? { warnings } : {},
    headers: { 'Zonemesh-Revision': revision, ETag: `"${revision}"` },
  }
}

async function remove(plane: ApiPlane, kind: Kind, call: Call): Promise<Answer> {
  const { mesh = '', name = '' } = call.params
  const row = await deletable(plane, call.user, kind, mesh, name)
  const expect = ifMatch(plane, call.request.headers['if-match'])
  const removals = await removalOf(plane, kind, row)
  const changes = removals.map((change, index) => (index === 0 && expect ? { ...change, expect } : change))
  const declared = isDeclared(call)
  if (isDryRun(call)) return dryAnswer(plannedRemoval(plane, { kind, row, changes }), [])
  await requireIntent(plane, changes, declared)
  const outcome = committed(
    await plane.commit({
      changes,
      subject: call.user.name,
      intent: `DELETE ${kind.name} ${row.key.name}`,
      ...declaration(changes, declared),
    }),
  )
  return { status: 200, body: {}, headers: { 'Zonemesh-Revision': positionText(outcome.position) } }
}

const written = (what: string) => ({ what: `${what}; the body has \`warnings\`, if there are any`, shape: objectShape })

const aboutList = (kind: Kind): About => ({
  group: 'Resources',
  summary: `Lists ${kind.title.plural}`,
  access: kind.adminOnly ? 'administrators' : 'readers',
  query: listQuery(kind),
  answers: { 200: { what: 'one page', shape: { type: 'page', kind } } },
})

const aboutGet = (kind: Kind): About => ({
  group: 'Resources',
  summary: `Reads a ${kind.name}`,
  access: kind.adminOnly ? 'administrators' : 'readers',
  query: { format: 'only `universal` is served' },
  answers: { 200: { what: 'the resource; `ETag` has its revision', shape: { type: 'resource', kind } } },
})

const aboutPut = (kind: Kind): About => ({
  group: 'Resources',
  summary: `Creates or replaces a ${kind.name}`,
  access: 'administrators',
  body: { type: 'resource', kind },
  answers: { 200: written('the resource was replaced'), 201: written('the resource was created') },
})

const aboutDelete = (kind: Kind): About => ({
  group: 'Resources',
  summary: `Deletes a ${kind.name}`,
  access: 'administrators',
  query: { declared: '`true` confirms the removal of very many resources' },
  answers: { 200: { what: 'the resource was deleted', shape: objectShape } },
})

/** Registers list, get, put and delete for every kind. */
export function registerCrud(route: Router): void {
  for (const kind of publicKinds) {
    for (const path of [kind.path, ...kind.pathAliases]) {
      const collection = kind.scope === 'mesh' ? `/meshes/:mesh/${path}` : `/${path}`
      const item = `${collection}/:name`
      const alias = path === kind.path ? {} : { aliasOf: item.replace(path, kind.path) }
      const listed: Handler = (plane, call) => list(plane, kind, call)
      route('GET', collection, listed, { ...aboutList(kind), ...alias })
      if (kind.scope === 'mesh') route('GET', `/${path}`, listed, { ...aboutList(kind), ...alias })
      route('GET', item, (plane, call) => getItem(plane, kind, call), { ...aboutGet(kind), ...alias })
      route('PUT', item, (plane, call) => put(plane, kind, call), { ...aboutPut(kind), ...alias })
      route('DELETE', item, (plane, call) => remove(plane, kind, call), { ...aboutDelete(kind), ...alias })
    }
  }
}
