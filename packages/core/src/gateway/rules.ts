import { headerValueFault } from '../kinds/header-values.ts'
import type { RouteBackend, RouteFilter, RouteMatch, RouteRule } from '../kinds/mesh-gateway-route-spec.ts'
import type { HeaderChanges, HeaderMatch, HeaderValue, PathChange, PathMatch, RouteModel } from '../model/model.ts'

/** The part of a route that its match decides. */
export interface MatchModel extends Pick<RouteModel, 'path' | 'method' | 'headers' | 'queries'> {
  readonly isTwin: boolean
}

/** The path change of a filter: it replaces the whole path or the matched prefix. */
export type PathFilter = Pick<NonNullable<RouteFilter['rewrite']>, 'replaceFull' | 'replacePrefixMatch'>

/** Envoy's matches for one match of a rule. */
export const matchesOf = (match: RouteMatch): readonly MatchModel[] => modelsOf(match, false)

/** Envoy's matches for a rule that removes the matched prefix. The path "/" alone then needs its own match. */
export const matchesThatCut = (match: RouteMatch): readonly MatchModel[] => modelsOf(match, true)

function modelsOf(match: RouteMatch, isCut: boolean): readonly MatchModel[] {
  const shared = {
    headers: (match.headers ?? []).map(headerMatchOf),
    queries: (match.queryParameters ?? []).map((one) => ({ name: nameOf(one), ...textOf(one) })),
    ...(match.method && match.method !== 'NONE' ? { method: match.method } : {}),
  }
  return pathsOf(match, isCut).map((one) => ({ ...shared, ...one }))
}

type Named = { readonly name?: string | undefined; readonly value?: string | undefined }
const nameOf = ({ name = '' }: Named): string => name

function headerMatchOf(one: NonNullable<RouteMatch['headers']>[number]): HeaderMatch {
  switch (one.match) {
    case 'PRESENT':
      return { name: nameOf(one), type: 'present' }
    case 'ABSENT':
      return { name: nameOf(one), type: 'absent' }
    case 'EXACT':
    case 'REGEX':
    case undefined:
      return { name: nameOf(one), ...textOf({ match: one.match, value: one.value }) }
  }
}

const textOf = ({ match, value = '' }: Named & { readonly match?: 'EXACT' | 'REGEX' | undefined }) => ({
  type: match === 'REGEX' ? ('regex' as const) : ('exact' as const),
  value,
})

/**
 * A prefix must end at a slash or at the end of the path. This needs two of Envoy's matches: one exact and one by
 * prefix.
 */
function pathsOf(
  { path }: RouteMatch,
  isCut: boolean,
): readonly { readonly path: PathMatch; readonly isTwin: boolean }[] {
  const value = path?.value ?? '/'
  switch (path?.match ?? (path ? 'EXACT' : 'PREFIX')) {
    case 'EXACT':
      return [{ path: { type: 'exact', path: value }, isTwin: false }]
    case 'REGEX':
      return [{ path: { type: 'regex', path: value }, isTwin: false }]
    case 'PREFIX': {
      const stem = value.replace(/\/+$/, '')
      const prefix = { path: { type: 'prefix' as const, path: `${stem}/` }, isTwin: false }
      if (stem === '' && !isCut) return [prefix]
      return [{ path: { type: 'exact', path: stem === '' ? '/' : stem }, isTwin: true }, prefix]
    }
  }
}

/**
 * The path change of a route with this match. One slash joins the replacement and the rest of the path. An exact match
 * leaves no rest, so the replacement gets no slash at its end.
 */
export function pathChangeOf(
  { replaceFull, replacePrefixMatch }: PathFilter,
  { type }: PathMatch,
): PathChange | undefined {
  if (replaceFull !== undefined) return { type: 'full', path: replaceFull }
  if (replacePrefixMatch === undefined) return undefined
  const stem = replacePrefixMatch.replace(/\/+$/, '')
  return { type: 'prefix', path: type === 'prefix' || stem === '' ? `${stem}/` : stem }
}

/** The combined header changes of a rule's filters, in order; undefined if they change nothing. */
export function headerChangesOf(
  filters: readonly (NonNullable<RouteFilter['requestHeader']> | undefined)[],
): HeaderChanges | undefined {
  let set: HeaderValue[] = []
  let add: HeaderValue[] = []
  const remove: string[] = []
  const without = (list: readonly HeaderValue[], name: string) => list.filter((one) => one.name !== name)
  for (const filter of filters) {
    // Envoy removes, then sets, then adds, over all filters. So a change that a later filter reverts must be dropped
    // here.
    for (const name of (filter?.remove ?? []).map(canonicalName)) {
      set = without(set, name)
      add = without(add, name)
      if (!remove.includes(name)) remove.push(name)
    }
    for (const header of (filter?.set ?? []).filter((one) => !isHost(one)).map(headerOf)) {
      set = [...without(set, header.name), header]
      add = without(add, header.name)
    }
    add.push(...(filter?.add ?? []).map(headerOf))
  }
  return set.length + add.length + remove.length === 0 ? undefined : { set, add, remove }
}

/** The Host header that the filters set for the service; the last one wins. */
export function hostOf(rule: RouteRule): { readonly literal: string } | 'endpoint' | undefined {
  const filters = rule.filters ?? []
  if (filters.some((filter) => filter.rewrite?.hostToBackendHostname)) return 'endpoint'
  const literal = filters
    .flatMap((filter) => filter.requestHeader?.set ?? [])
    .filter(isHost)
    .at(-1)?.value
  return literal === undefined ? undefined : { literal }
}

/** The path change of forwarded requests: the last filter that sets one wins. */
export const rewriteOf = (rule: RouteRule): PathFilter =>
  (rule.filters ?? [])
    .flatMap(({ rewrite }) =>
      rewrite?.replaceFull === undefined && rewrite?.replacePrefixMatch === undefined ? [] : rewrite,
    )
    .at(-1) ?? {}

/** The mirror backends of a rule, and how many requests per million each gets. */
export function mirrorsOf(rule: RouteRule): readonly { readonly backend: RouteBackend; readonly perMillion: number }[] {
  return (rule.filters ?? []).flatMap(({ mirror }) => {
    const { percentage = 0, backend } = mirror ?? {}
    if (percentage < 0 || percentage > 100)
      throw new Error(`mirror.percentage: expected a number from 0 to 100, found ${percentage}`)
    if (!backend || percentage === 0) return []
    // A small percentage must not round to zero.
    return { backend, perMillion: Math.max(1, Math.round(percentage * 10_000)) }
  })
}

const isHost = ({ name = '' }: Named): boolean => /^(host|:authority)$/i.test(name)

function headerOf({ name = '', value = '' }: Named): HeaderValue {
  const fault = headerValueFault(value)
  if (fault !== undefined) throw new Error(`header ${name}: value ${fault}`)
  return { name: canonicalName(name), value }
}

/** `x-my-header` → `X-My-Header`: Kuma's spelling, so that configurations can be compared. */
const canonicalName = (name: string): string =>
  name.toLowerCase().replaceAll(/(^|-)([a-z])/g, (_whole, dash: string, letter: string) => dash + letter.toUpperCase())
