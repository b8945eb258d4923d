import { RE2JS } from 're2js'
import { hostnameContains, specificity } from '../match/hostnames.ts'
import type { ChainModel, HeaderMatch, QueryMatch, RouteModel, VirtualHostModel } from '../model/model.ts'
import type { Request } from './request.ts'

/** The filter chain that Envoy selects: the one for the client's server name (SNI), or the one without names. */
export const chainFor = (chains: readonly ChainModel[], name: string): ChainModel | undefined =>
  mostSpecific(chains, ({ match }) => match?.serverNames ?? ['*'], name)

/** The virtual host that Envoy selects: an exact name before the longest wildcard before any host. */
export const hostFor = (hosts: readonly VirtualHostModel[], name: string): VirtualHostModel | undefined =>
  mostSpecific(hosts, ({ domains }) => domains, name)

function mostSpecific<T>(all: readonly T[], namesOf: (one: T) => readonly string[], name: string): T | undefined {
  const lower = name.toLowerCase()
  return all
    .flatMap((one) =>
      namesOf(one)
        .filter((domain) => hostnameContains(domain.toLowerCase(), lower))
        .map((domain) => ({ one, rank: specificity(domain) })),
    )
    .sort((a, b) => b.rank - a.rank)[0]?.one
}

/** The first route that matches, as in Envoy. */
export const firstRoute = (routes: readonly RouteModel[], request: Request): RouteModel | undefined =>
  routes.find((route) => failures(route, request).length === 0)

/** The criteria of a route that a request must meet. */
type Criteria = Pick<RouteModel, 'path' | 'method' | 'headers' | 'queries'>

/** The criteria of a route that a request does not meet. */
export function failures(route: Criteria, request: Request): readonly string[] {
  const { path, query, method, headers } = request
  return [
    ...(pathMatches(route, path) ? [] : [`path ${route.path.type} ${route.path.path}`]),
    ...(route.method === undefined || route.method === method ? [] : [`method ${route.method}`]),
    ...route.headers
      .filter((one) => !headerMatches(one, headers.get(one.name.toLowerCase())))
      .map((one) => `header ${one.name} ${wanted(one)}`),
    ...route.queries
      .filter((one) => !textMatches(one, query.get(one.name) ?? undefined))
      .map((one) => `query parameter ${one.name} ${wanted(one)}`),
  ]
}

const wanted = (one: HeaderMatch | QueryMatch): string => ('value' in one ? `${one.type} ${one.value}` : one.type)

function pathMatches({ path }: Criteria, asked: string): boolean {
  switch (path.type) {
    case 'exact':
      return asked === path.path
    case 'prefix':
      return asked.startsWith(path.path)
    case 'regex':
      return RE2JS.matches(path.path, asked)
  }
}

function headerMatches(match: HeaderMatch, value: string | undefined): boolean {
  switch (match.type) {
    case 'present':
      return value !== undefined
    case 'absent':
      return value === undefined
    default:
      return textMatches(match, value)
  }
}

function textMatches(match: { readonly type: 'exact' | 'regex'; readonly value: string }, value: string | undefined) {
  if (value === undefined) return false
  return match.type === 'exact' ? match.value === value : RE2JS.matches(match.value, value)
}
