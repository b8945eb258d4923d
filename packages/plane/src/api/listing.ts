import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { ApiError, badRequest, invalid } from './errors.ts'
import { shownLabels, shownName } from './names.ts'
import type { ApiPlane } from './plane.ts'
import { allRows, rowsOf } from './resources.ts'
import type { Answer, Call } from './route.ts'

const listTitle = 'Could not retrieve resources'
const sizeDefault = 100
const sizeMax = 1000

/** The query parameters of a list of this kind. */
export const listQuery = (kind: Kind): Readonly<Record<string, string>> => ({
  size: `the items of a page, from 1 to ${sizeMax}; ${sizeDefault} by default`,
  offset: 'the items to leave out; `next` of a page has it',
  name: 'only resources whose name contains this text',
  'filter[labels.KEY]': 'only resources with this label; KEY is its key',
  ...(kind.name === dataplane.name
    ? {
        tag: 'only proxies with this tag, as `KEY:VALUE`; a part of the value is enough, and `*` is any value',
        gateway: 'only gateways (`true`, `builtin`, `delegated`) or only others (`false`)',
      }
    : {}),
})

function pageSize(text: string | null): number {
  if (text === null) return sizeDefault
  const refuse = (reason: string) => new ApiError(400, listTitle, 'Invalid page size', [{ field: 'size', reason }])
  if (!/^\d+$/.test(text)) throw refuse('invalid format')
  const size = Number(text)
  if (size === 0) throw refuse('must be greater than 0')
  if (size > sizeMax) throw refuse(`invalid page size of ${size}. Maximum page size is ${sizeMax}`)
  return size
}

/** The list of which a page is a part. */
interface Listed {
  readonly total: number
  slice(offset: number, size: number): Promise<readonly Row[]>
}

/** One page of a list in the shape that kumactl reads. `next` is an absolute URL with sorted query keys. */
async function page(call: Call, listed: Listed, render: (row: Row) => Promise<JsonObject>): Promise<Answer> {
  const size = pageSize(call.query.get('size'))
  const offsetText = call.query.get('offset') ?? '0'
  if (!/^\d+$/.test(offsetText)) throw new ApiError(400, listTitle, `invalid: invalid offset: ${offsetText}`)
  const offset = Number(offsetText)
  const items = await Promise.all((await listed.slice(offset, size)).map(render))
  const more = offset + size < listed.total
  const { request } = call
  const query = new URLSearchParams(call.query)
  query.set('offset', String(offset + size))
  query.set('size', String(size))
  const sorted = new URLSearchParams([...query].sort(([a], [b]) => byCodeUnit(a, b)))
  const next = more ? `${request.protocol}://${request.host}${request.url.split('?')[0]}?${sorted}` : null
  return { status: 200, body: { total: listed.total, items, next } }
}

/**
 * One page of the rows of a kind, in one mesh or in all. Without filters, its cost is that of the page, regardless of
 * the size of the store. With filters, every row of the kind is read.
 */
export async function listPage(
  plane: ApiPlane,
  kind: Kind,
  call: Call,
  render: (row: Row) => Promise<JsonObject>,
): Promise<Answer> {
  const { mesh } = call.params
  if (isFiltered(call)) {
    const rows = await allRows(plane, { kind: kind.name, ...(mesh === undefined ? {} : { mesh }) })
    const kept = filterRows(plane, kind, rows, call)
    return page(call, { total: kept.length, slice: async (offset, size) => kept.slice(offset, offset + size) }, render)
  }
  const keys = await plane.catalogue.list(kind.name, mesh)
  const slice = async (offset: number, size: number) => rowsOf(plane, keys.slice(offset, size))
  return page(call, { total: keys.total, slice }, render)
}

const isFiltered = ({ query }: Call): boolean =>
  [...query.keys()].some((key) => key === 'name' || key === 'tag' || key === 'gateway' || key.startsWith('filter['))

/** Parses `filter[labels.<key>]=<value>`. Refuses anything else in brackets. */
function labelFilters({ query, request }: Call): Map<string, string> {
  const filters = new Map<string, string>()
  // Kuma writes `/meshes/{mesh}/dataplanes` for `/meshes/:mesh/dataplanes`.
  const route = (request.routeOptions.url ?? '').replace(/:(\w+)/g, '{$1}')
  for (const [key, value] of query) {
    const inner = /^filter\[(.*)\]$/.exec(key)?.[1]
    if (inner === undefined) continue
    const refuse = (reason: string) => invalid(listTitle, [{ field: `${route}.${key}`, reason }])
    if (!inner.startsWith('labels.')) throw refuse('filters are only supported on labels')
    if (/[[\]]/.test(inner)) throw refuse('advanced filters are not supported')
    filters.set(inner.slice('labels.'.length), value)
  }
  return filters
}

/** Whether one tag set matches all pairs. A value matches as a substring; `*` matches any value. */
function matchesTags(spec: DataplaneSpec, expected: readonly string[]): boolean {
  const sets = [
    ...(spec.networking?.inbound ?? []).map((inbound) => inbound.tags ?? {}),
    spec.networking?.gateway?.tags ?? {},
  ]
  return sets.some((tags) =>
    expected.every((pair) => {
      const [key = '', ...rest] = pair.split(':')
      const value = rest.join(':')
      const tag = tags[key]
      return tag !== undefined && (value === '*' || tag.includes(value))
    }),
  )
}

function matchesGateway(spec: DataplaneSpec, expected: string | null): boolean {
  const role = dataplaneRole(spec)
  switch (expected) {
    case null:
      return true
    case 'true':
      return role !== 'sidecar'
    case 'false':
      return role === 'sidecar'
    case 'builtin':
    case 'delegated':
      return role === expected
    default:
      throw badRequest('bad request: gateway must be one of true, false, builtin, delegated')
  }
}

/** Applies the query parameters of lists. */
function filterRows(plane: ApiPlane, kind: Kind, rows: readonly Row[], call: Call): Row[] {
  const { query } = call
  const name = query.get('name')
  const labels = labelFilters(call)
  const [tags, gateway] = [query.getAll('tag'), query.get('gateway')]
  return rows.filter((row) => {
    if (name !== null && !shownName(kind, row, plane.origin).includes(name)) return false
    const shown = shownLabels(kind, row, plane.origin)
    for (const [key, value] of labels) if (shown[key] !== value) return false
    if (kind.name !== 'Dataplane' || (tags.length === 0 && gateway === null)) return true
    // A row that cannot be parsed has neither tags nor a role.
    const spec = specOf(dataplane, row) ?? {}
    return matchesTags(spec, tags) && matchesGateway(spec, gateway)
  })
}
