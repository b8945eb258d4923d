import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { notFound } from './errors.ts'
import type { ApiPlane } from './plane.ts'
import { askZone } from './queries.ts'
import { findRow, requireMesh } from './resources.ts'
import type { Answer, Call, Router } from './route.ts'

const proxies = [
  { kind: 'Dataplane', type: 'dataplane', path: '/meshes/:mesh/dataplanes/:name' },
  { kind: 'ZoneIngress', type: 'ingress', path: '/zoneingresses/:name' },
  { kind: 'ZoneEgress', type: 'egress', path: '/zoneegresses/:name' },
] as const

/** The last part of a route, the view of the zone behind it, and whether the answer is JSON. */
const views = [
  { part: 'xds', view: 'xds', isJson: true },
  { part: 'stats', view: 'stats', isJson: false },
  { part: 'clusters', view: 'clusters', isJson: false },
  { part: 'listeners', view: 'listeners', isJson: false },
] as const

/**
 * The configuration and the admin interface of a proxy, as Kuma's routes: `…/xds`, `…/stats`, `…/clusters` and
 * `…/_config`, and beside them `…/listeners`. The zone of the proxy answers; a global asks it over its session.
 */
export function registerProxyViews(route: Router, plane: ApiPlane): void {
  for (const { kind: kindName, type, path } of proxies) {
    const kind = findKind(kindName)
    assert(kind, `${kindName} is not registered`)
    for (const { part, view, isJson } of views) {
      route('GET', `${path}/${part}`, async (call) => {
        const { text } = await viewOf(plane, call, kind, { type, view, ...optionsOf(call.query) })
        const content = String(text)
        if (!isJson && call.query.get('format') !== 'json') return { status: 200, body: undefined, text: content }
        return { status: 200, body: JSON.parse(content) as unknown }
      })
    }
    route('GET', `${path}/_config`, async (call): Promise<Answer> => {
      return { status: 200, body: await viewOf(plane, call, kind, { type, view: 'config' }) }
    })
  }
}

const optionsOf = (query: URLSearchParams): JsonObject => ({
  includeEds: query.get('include_eds') === 'true',
  json: query.get('format') === 'json',
  all: query.get('usedonly') === 'false',
})

async function viewOf(plane: ApiPlane, call: Call, kind: Kind, request: JsonObject): Promise<JsonObject> {
  const { mesh = '', name = '' } = call.params
  if (kind.scope === 'mesh') await requireMesh(plane, mesh)
  const row = await findRow(plane, kind, mesh, name)
  if (!row) throw notFound('Could not retrieve a resource')
  const { key } = row
  return askZone(plane, key.origin, 'proxy', { ...request, mesh: key.mesh, name: key.name }, call.untilClosed())
}
