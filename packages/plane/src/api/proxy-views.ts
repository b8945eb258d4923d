import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { assert, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { notFound } from './errors.ts'
import type { ApiPlane } from './plane.ts'
import { askZone } from './queries.ts'
import { findRow, requireMesh } from './resources.ts'
import type { Call, Handler, Router } from './route.ts'
import { objectShape } from './shape.ts'

const proxies = [
  { kind: 'Dataplane', type: 'dataplane', path: '/meshes/:mesh/dataplanes/:name' },
  { kind: 'ZoneIngress', type: 'ingress', path: '/zoneingresses/:name' },
  { kind: 'ZoneEgress', type: 'egress', path: '/zoneegresses/:name' },
] as const

const format = '`json` instead of text'
/** The views of the admin interface of an Envoy, each as the last part of a path. */
const views = [
  { part: 'xds', what: 'the configuration', query: { include_eds: '`true`: with the endpoints' } },
  { part: 'stats', what: 'the statistics', query: { format, usedonly: '`false`: also those that were never used' } },
  { part: 'clusters', what: 'the clusters', query: { format } },
  { part: 'listeners', what: 'the listeners', query: { format } },
] as const

/**
 * The configuration and the admin interface of a proxy, as Kuma's routes: `…/xds`, `…/stats`, `…/clusters` and
 * `…/_config`, and beside them `…/listeners`. The zone of the proxy answers; a global asks it over its session.
 */
export function registerProxyViews(route: Router): void {
  for (const { kind: kindName, type, path } of proxies) {
    const kind = findKind(kindName)
    assert(kind, `${kindName} is not registered`)
    for (const { part, what, query } of views)
      route('GET', `${path}/${part}`, viewOf(kind, type, part), {
        ...about(`Reads ${what} of the Envoy of a ${kindName}`),
        query,
        answers: { 200: { what, shape: part === 'xds' ? objectShape : { type: 'text' } } },
      })
    route('GET', `${path}/_config`, configOf(kind, type), {
      ...about(`Compares what is compiled for a ${kindName} with what its Envoy runs`),
      answers: { 200: { what: 'the resources by type, and the differences', shape: objectShape } },
    })
  }
}

const about = (summary: string) => ({ group: 'Insights', summary, access: 'readers' }) as const

function viewOf(kind: Kind, type: string, view: string): Handler {
  return async (plane, call) => {
    const { text } = await ask(plane, call, kind, { type, view, ...optionsOf(call.query) })
    const content = String(text)
    const isJson = view === 'xds' || call.query.get('format') === 'json'
    if (!isJson) return { status: 200, body: undefined, text: content }
    return { status: 200, body: JSON.parse(content) as unknown }
  }
}

const configOf =
  (kind: Kind, type: string): Handler =>
  async (plane, call) => ({ status: 200, body: await ask(plane, call, kind, { type, view: 'config' }) })

const optionsOf = (query: URLSearchParams): JsonObject => ({
  includeEds: query.get('include_eds') === 'true',
  json: query.get('format') === 'json',
  all: query.get('usedonly') === 'false',
})

async function ask(plane: ApiPlane, call: Call, kind: Kind, request: JsonObject): Promise<JsonObject> {
  const { mesh = '', name = '' } = call.params
  if (kind.scope === 'mesh') await requireMesh(plane, mesh)
  const row = await findRow(plane, kind, mesh, name)
  if (!row) throw notFound('Could not retrieve a resource')
  const { key } = row
  return askZone(plane, key.origin, 'proxy', { ...request, mesh: key.mesh, name: key.name }, call.untilClosed())
}
