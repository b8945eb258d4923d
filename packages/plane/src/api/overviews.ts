import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { notFound } from './errors.ts'
import { listPage, listQuery } from './listing.ts'
import { type OverviewKind, overviewKinds } from './overview-kinds.ts'
import type { ApiPlane } from './plane.ts'
import { renderParsed, renderRow } from './render.ts'
import { findRow, requireMesh } from './resources.ts'
import type { About, Handler, Router } from './route.ts'
import { objectShape } from './shape.ts'

/** A resource with its insight, in the shape that kumactl and the GUI of Kuma read. */
async function overview(plane: ApiPlane, kind: Kind, entry: OverviewKind, row: Row): Promise<JsonObject> {
  const insight = plane.insight(kind.name, row)
  const insightPart = insight ? { [entry.insight]: insight } : {}
  const shown = async (parsed: Row) => ({ [entry.base]: await plane.decorate(kind, parsed), ...insightPart })
  return {
    ...(await renderParsed(kind, row, plane.origin, shown, { [entry.base]: {}, ...insightPart })),
    type: `${kind.name}Overview`,
  }
}

/** The insight of a resource as a resource of its own. Without any information it is empty, as in Kuma. */
function insightOf(plane: ApiPlane, kind: Kind, row: Row): JsonObject {
  return {
    ...renderRow(kind, row, plane.origin, plane.insight(kind.name, row) ?? {}),
    type: `${kind.name}Insight`,
  }
}

type Render = (plane: ApiPlane, row: Row) => Promise<JsonObject>

function listOf(kind: Kind, render: Render): Handler {
  return async (plane, call) => {
    const { mesh } = call.params
    if (mesh !== undefined) await requireMesh(plane, mesh)
    return listPage(plane, kind, call, (row) => render(plane, row))
  }
}

function itemOf(kind: Kind, render: Render): Handler {
  return async (plane, call) => {
    const { mesh = '', name = '' } = call.params
    if (mesh !== '') await requireMesh(plane, mesh)
    const row = await findRow(plane, kind, mesh, name)
    if (!row) throw notFound('Could not retrieve a resource')
    return { status: 200, body: await render(plane, row) }
  }
}

const aboutList = (summary: string, kind: Kind): About => ({
  group: 'Insights',
  summary,
  access: 'readers',
  query: listQuery(kind),
  answers: { 200: { what: 'one page', shape: { type: 'page' } } },
})

const aboutItem = (summary: string): About => ({
  group: 'Insights',
  summary,
  access: 'readers',
  answers: { 200: { what: 'the resource', shape: objectShape } },
})

/** Registers overviews, also under their older paths, and the read-only insight collections. */
export function registerOverviews(route: Router): void {
  for (const entry of overviewKinds) {
    const kind = findKind(entry.kind)
    assert(kind, `the registry has no ${entry.kind}`)
    const full: Render = (plane, row) => overview(plane, kind, entry, row)
    const alone: Render = async (plane, row) => insightOf(plane, kind, row)
    const { plural } = kind.title
    const aboutFull = aboutList(`Lists ${plural} with their insights`, kind)
    const aboutOne = aboutItem(`Reads a ${kind.name} with its insight`)
    const scoped = kind.scope === 'mesh' ? '/meshes/:mesh/' : '/'
    for (const root of new Set([scoped, '/'])) {
      const path = `${root}${kind.path}/_overview`
      route('GET', path, listOf(kind, full), aboutFull)
      route('GET', `${root}${entry.legacy}`, listOf(kind, full), { ...aboutFull, aliasOf: path })
      route('GET', `${root}${entry.insights}`, listOf(kind, alone), aboutList(`Lists the insights of ${plural}`, kind))
    }
    const path = `${scoped}${kind.path}/:name/_overview`
    route('GET', path, itemOf(kind, full), aboutOne)
    route('GET', `${scoped}${entry.legacy}/:name`, itemOf(kind, full), { ...aboutOne, aliasOf: path })
    route(
      'GET',
      `${scoped}${entry.insights}/:name`,
      itemOf(kind, alone),
      aboutItem(`Reads the insight of a ${kind.name}`),
    )
  }
}
