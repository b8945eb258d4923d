import type { Because } from '../kinds/because.ts'
import { dataplane } from '../kinds/dataplane.ts'
import type { DataplaneSpec } from '../kinds/dataplane-spec.ts'
import type { TypedRow } from '../kinds/kind.ts'
import type { ChainModel, HeaderMatch, ListenerModel, ProxyModel, QueryMatch, RouteModel } from '../model/model.ts'
import { compileZone } from './compiled-zone.ts'
import { isBuiltin, protocolOf } from './gateway.ts'
import { type Request, readRequest } from './request.ts'
import type { Sources } from './sources.ts'

/** A request that a builtin gateway answers by a route that certain rows decided. */
export interface ConcernedRequest {
  readonly url: string
  readonly request: Request
  readonly from: { readonly zone: string; readonly gateway: string }
}

/**
 * One request for each route of the builtin gateways that these rows (key texts) decided, each URL once per gateway.
 * Routes whose match is a regular expression are left out, because no example of it is known.
 */
export function concernedRequests(keys: ReadonlySet<string>, sources: Sources): readonly ConcernedRequest[] {
  const found = new Map<string, ConcernedRequest>()
  for (const sight of sources.zones.values()) {
    const zone = compileZone(sight, sources)
    const gateways = zone.rows(dataplane).filter((row) => row.key.origin === zone.name && isBuiltin(row))
    for (const gateway of gateways) {
      const { model } = zone.look(gateway)
      for (const one of model ? requestsOf(model, keys) : [])
        found.set(`${zone.name} ${serviceOf(gateway)} ${one.url}`, {
          ...one,
          from: { zone: zone.name, gateway: gateway.key.name },
        })
    }
  }
  return [...found.values()]
}

/** Instances of one gateway answer alike, so one of them is enough. */
const serviceOf = ({ spec }: TypedRow<DataplaneSpec>): string => JSON.stringify(spec.networking?.gateway?.tags ?? {})

type Example = Pick<ConcernedRequest, 'url' | 'request'>

const concerns = (keys: ReadonlySet<string>, because: Because): boolean => because.some((key) => keys.has(key))

const requestsOf = (model: ProxyModel, keys: ReadonlySet<string>): readonly Example[] =>
  model.listeners.flatMap((listener) => listener.chains.flatMap((chain) => requestsAt(model, listener, chain, keys)))

function requestsAt(
  model: ProxyModel,
  { port }: ListenerModel,
  chain: ChainModel,
  keys: ReadonlySet<string>,
): readonly Example[] {
  const { content } = chain
  const scheme = protocolOf(chain).toLowerCase()
  if (content.type === 'tcp')
    return concerns(keys, chain.because) ? example(`${scheme}://${hostIn(chain.match?.serverNames)}:${port}`, {}) : []
  if (content.type !== 'http' || chain.anyMesh) return []
  const { routes } = content
  const table = 'rds' in routes ? model.routeTables.find(({ name }) => name === routes.rds) : routes
  return (table?.hosts ?? [])
    .filter(({ misdirected }) => !misdirected)
    .flatMap(({ domains, routes: all }) =>
      all
        .filter(({ because }) => concerns(keys, because))
        .flatMap((route) => requestFor(`${scheme}://${hostIn(domains)}:${port}`, route)),
    )
}

function requestFor(origin: string, { path, method, headers, queries }: RouteModel): readonly Example[] {
  const given = headers.filter(({ type }) => type !== 'absent')
  if (path.type === 'regex' || [...given, ...queries].some(({ type }) => type === 'regex')) return []
  const query = new URLSearchParams(queries.map((one): [string, string] => [one.name, valueFor(one)])).toString()
  return example(`${origin}${path.path}${query === '' ? '' : `?${query}`}`, {
    ...(method === undefined ? {} : { method }),
    headers: Object.fromEntries(given.map((one) => [one.name, valueFor(one)])),
  })
}

const valueFor = (match: HeaderMatch | QueryMatch): string => ('value' in match ? match.value : 'any')

function example(url: string, more: Parameters<typeof readRequest>[1]): readonly Example[] {
  const request = readRequest(url, more)
  return request.ok ? [{ url, request: request.value }] : []
}

/** A host that one of these domains contains. */
const hostIn = ([domain = '*']: readonly string[] = []): string =>
  domain === '*' ? 'any.example' : domain.replace(/^\*\./, 'any.')
