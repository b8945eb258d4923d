import type { HeaderValue, PathMatch, RouteModel } from '../compile/model.ts'
import type { RouteMatch, RouteRule } from '../kinds/mesh-gateway-route.ts'

/** The part of a route that its match decides. */
export interface MatchModel extends Pick<RouteModel, 'path' | 'method' | 'headers' | 'queries'> {
  readonly isTwin: boolean
}

/** Envoy's matches for one match of a rule; none if it asks for something that is not served. */
export function matchesOf(match: RouteMatch): readonly MatchModel[] {
  const headers = match.headers ?? []
  const queries = match.queryParameters ?? []
  if ([...headers, ...queries].some((one) => (one.match ?? 'EXACT') !== 'EXACT')) return []
  const shared = {
    headers: headers.map(headerOf),
    queries: queries.map(headerOf),
    ...(match.method && match.method !== 'NONE' ? { method: match.method } : {}),
  }
  return pathsOf(match).map((one) => ({ ...shared, ...one }))
}

const headerOf = (one: { readonly name?: string | undefined; readonly value?: string | undefined }): HeaderValue => ({
  name: one.name ?? '',
  value: one.value ?? '',
})

/** A prefix ends at a slash or at the end of the path: two of Envoy's matches. */
function pathsOf({ path }: RouteMatch): readonly { readonly path: PathMatch; readonly isTwin: boolean }[] {
  const value = path?.value ?? '/'
  switch (path?.match ?? (path ? 'EXACT' : 'PREFIX')) {
    case 'EXACT':
      return [{ path: { type: 'exact', path: value }, isTwin: false }]
    case 'REGEX':
      return [{ path: { type: 'regex', path: value }, isTwin: false }]
    case 'PREFIX': {
      const stem = value.replace(/\/+$/, '')
      if (stem === '') return [{ path: { type: 'prefix', path: '/' }, isTwin: false }]
      return [
        { path: { type: 'exact', path: stem }, isTwin: true },
        { path: { type: 'prefix', path: `${stem}/` }, isTwin: false },
      ]
    }
  }
}

/** What the filters of a rule do to a request. Filters that are not served do nothing. */
export function filtersOf(rule: RouteRule): Pick<RouteModel, 'setHeaders' | 'addHeaders' | 'removeHeaders' | 'host'> {
  const filters = (rule.filters ?? []).flatMap((filter) => filter.requestHeader ?? [])
  const sets = filters.flatMap((filter) => filter.set ?? []).map(headerOf)
  const isHost = ({ name }: HeaderValue) => /^(host|:authority)$/i.test(name)
  const host = sets.filter(isHost).at(-1)?.value
  return {
    setHeaders: sets.filter((one) => !isHost(one)).map(canonical),
    addHeaders: filters
      .flatMap((filter) => filter.add ?? [])
      .map(headerOf)
      .map(canonical),
    removeHeaders: filters.flatMap((filter) => filter.remove ?? []).map(canonicalName),
    ...(host === undefined ? {} : { host }),
  }
}

const canonical = ({ name, value }: HeaderValue): HeaderValue => ({ name: canonicalName(name), value })

/** `x-my-header` → `X-My-Header`: the spelling that people compare with other planes. */
const canonicalName = (name: string): string =>
  name.toLowerCase().replaceAll(/(^|-)([a-z])/g, (_whole, dash: string, letter: string) => dash + letter.toUpperCase())
