import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { notFound } from './errors.ts'
import { filterRows, page } from './listing.ts'
import type { ApiPlane } from './plane.ts'
import { renderRow } from './render.ts'
import { allRows, findRow, requireMesh } from './resources.ts'
import type { Answer, Call, Router } from './server.ts'

const overviews = [
  { kind: 'Dataplane', base: 'dataplane', insight: 'dataplaneInsight', legacy: 'dataplanes+insights' },
  { kind: 'ZoneIngress', base: 'zoneIngress', insight: 'zoneIngressInsight', legacy: 'zoneingresses+insights' },
  { kind: 'Zone', base: 'zone', insight: 'zoneInsight', legacy: 'zones+insights' },
] as const

/** A resource with what its plane knows of it, in the shape that kumactl and the page of Kuma read. */
async function overview(plane: ApiPlane, kind: Kind, entry: (typeof overviews)[number], row: Row): Promise<JsonObject> {
  const spec = await plane.decorate(kind, row)
  const insight = plane.insight(kind.name, row)
  return {
    ...renderRow(kind, row, plane.origin, () => ({
      [entry.base]: spec,
      ...(insight ? { [entry.insight]: insight } : {}),
    })),
    type: `${kind.name}Overview`,
  }
}

/** Overviews (REST reference §1.6, §2.7) and the read-only insight collections. */
export function registerOverviews(route: Router, plane: ApiPlane): void {
  for (const entry of overviews) {
    const kind = findKind(entry.kind)
    assert(kind, `the registry has no ${entry.kind}`)
    const list = async (call: Call): Promise<Answer> => {
      const { mesh } = call.params
      if (mesh !== undefined) await requireMesh(plane, mesh)
      const rows = await allRows(plane, { kind: kind.name, ...(mesh === undefined ? {} : { mesh }) })
      return page(call, filterRows(plane, kind, rows, call.query), (row) => overview(plane, kind, entry, row))
    }
    const item = async (call: Call): Promise<Answer> => {
      const { mesh = '', name = '' } = call.params
      if (mesh !== '') await requireMesh(plane, mesh)
      const row = await findRow(plane, kind, mesh, name)
      if (!row) throw notFound('Could not retrieve a resource')
      return { status: 200, body: await overview(plane, kind, entry, row) }
    }
    const root = kind.scope === 'mesh' ? '/meshes/:mesh/' : '/'
    route('GET', `${root}${kind.path}/_overview`, list)
    route('GET', `${root}${entry.legacy}`, list)
    if (kind.scope === 'mesh') {
      route('GET', `/${kind.path}/_overview`, list)
      route('GET', `/${entry.legacy}`, list)
    }
    route('GET', `${root}${kind.path}/:name/_overview`, item)
    route('GET', `${root}${entry.legacy}/:name`, item)
  }
}
