import { RE2JS } from 're2js'
import { hostnameContains, specificity } from '../match/hostnames.ts'
import type { HeaderMatch, QueryMatch, RouteModel, VirtualHostModel } from '../model/model.ts'
import type { Request } from './request.ts'

/** The virtual host that Envoy takes: an exact name before the longest wildcard before any. */
export function hostFor(hosts: readonly VirtualHostModel[], name: string): VirtualHostModel | undefined {
  const lower = name.toLowerCase()
  return hosts
    .filter(({ domains, misdirected }) => !misdirected && domains.some((domain) => hostnameContains(domain, lower)))
    .sort((a, b) => specificity(nameOf(b)) - specificity(nameOf(a)))[0]
}

/** The one domain that our virtual hosts have. */
export const nameOf = ({ domains: [domain = '*'] }: VirtualHostModel): string => domain

/** The first route that matches, as Envoy looks for it; the rest of the criteria that a request fails otherwise. */
export const firstRoute = (routes: readonly RouteModel[], request: Request): RouteModel | undefined =>
  routes.find((route) => failures(route, request).length === 0)

/** Which criteria of a route a request does not meet. */
export function failures(route: RouteModel, request: Request): readonly string[] {
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

function pathMatches({ path }: RouteModel, asked: string): boolean {
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
