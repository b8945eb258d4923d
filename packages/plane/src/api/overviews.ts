import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { notFound } from './errors.ts'
import { listPage } from './listing.ts'
import { type OverviewKind, overviewKinds } from './overview-kinds.ts'
import type { ApiPlane } from './plane.ts'
import { renderParsed, renderRow } from './render.ts'
import { findRow, requireMesh } from './resources.ts'
import type { Answer, Call, Router } from './route.ts'

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

type Render = (row: Row) => Promise<JsonObject>

function listOf(plane: ApiPlane, kind: Kind, render: Render) {
  return async (call: Call): Promise<Answer> => {
    const { mesh } = call.params
    if (mesh !== undefined) await requireMesh(plane, mesh)
    return listPage(plane, kind, call, render)
  }
}

function itemOf(plane: ApiPlane, kind: Kind, render: Render) {
  return async (call: Call): Promise<Answer> => {
    const { mesh = '', name = '' } = call.params
    if (mesh !== '') await requireMesh(plane, mesh)
    const row = await findRow(plane, kind, mesh, name)
    if (!row) throw notFound('Could not retrieve a resource')
    return { status: 200, body: await render(row) }
  }
}

/** Registers overviews, also under their older paths, and the read-only insight collections. */
export function registerOverviews(route: Router, plane: ApiPlane): void {
  for (const entry of overviewKinds) {
    const kind = findKind(entry.kind)
    assert(kind, `the registry has no ${entry.kind}`)
    const full: Render = (row) => overview(plane, kind, entry, row)
    const alone: Render = async (row) => insightOf(plane, kind, row)
    const scoped = kind.scope === 'mesh' ? '/meshes/:mesh/' : '/'
    for (const root of new Set([scoped, '/'])) {
      route('GET', `${root}${kind.path}/_overview`, listOf(plane, kind, full))
      route('GET', `${root}${entry.legacy}`, listOf(plane, kind, full))
      route('GET', `${root}${entry.insights}`, listOf(plane, kind, alone))
    }
    route('GET', `${scoped}${kind.path}/:name/_overview`, itemOf(plane, kind, full))
    route('GET', `${scoped}${entry.legacy}/:name`, itemOf(plane, kind, full))
    route('GET', `${scoped}${entry.insights}/:name`, itemOf(plane, kind, alone))
  }
}
