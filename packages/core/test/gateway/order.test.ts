import fc from 'fast-check'
import { RE2JS } from 're2js'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { builtinGateway, createScene, global, httpRoute, meshGateway, zoned } from '../compile/scene.ts'
import { listener, type Match, type Request, type Route, request, routes } from './random-routes.ts'

/** The rule of the Gateway API, computed without twin prefixes and virtual hosts: it compares all routes. */
function expected(listeners: readonly string[], all: readonly Route[], asked: Request): string | undefined {
  const stands = (name: string) =>
    name === '*' || name === asked.host || (name.startsWith('*.') && asked.host.endsWith(name.slice(1)))
  const specific = (names: readonly string[]) => names.filter(stands).sort((a, b) => rankOfHost(b) - rankOfHost(a))[0]
  const answering = specific(listeners)
  if (answering === undefined) return undefined
  const found = all.flatMap((route, age) => {
    const name = specific(route.hostnames.length > 0 ? route.hostnames : ['*'])
    if (name === undefined || (route.listener ?? answering) !== answering) return []
    return route.matches.flatMap((one, at) =>
      meets(one, asked) ? [{ to: `${route.name}-${at}`, rank: [-rankOfHost(name), ...rankOf(one), age, at] }] : [],
    )
  })
  return found.sort((a, b) => a.rank.map((part, at) => part - (b.rank[at] ?? 0)).find((one) => one !== 0) ?? 0)[0]?.to
}

/** A hostname in the characters of a tag. */
const tagOf = (name: string): string => name.replace('*', 'any')

const rankOfHost = (name: string): number => (name === '*' ? 0 : name.startsWith('*') ? name.length : 100 + name.length)

function rankOf({ path: at, method, headers, queryParameters }: Match): readonly number[] {
  const value = at?.match === 'PREFIX' ? at.value.replace(/\/$/, '') : (at?.value ?? '')
  return [
    ['EXACT', 'PREFIX', 'REGEX'].indexOf(at?.match ?? 'PREFIX'),
    -value.length,
    method ? 0 : 1,
    -headers.length,
    -queryParameters.length,
    // The Gateway API does not order expressions of equal length; here their text decides.
    at?.match === 'REGEX' ? ['/.*', '/[ab]+', '/a.*'].indexOf(at.value) : 0,
  ]
}

function meets({ path: at, method, headers, queryParameters }: Match, asked: Request): boolean {
  const stem = at?.value.replace(/\/$/, '') ?? ''
  const fits = {
    EXACT: asked.path === at?.value,
    PREFIX: asked.path === stem || asked.path.startsWith(`${stem}/`),
    REGEX: RE2JS.matches(at?.value ?? '', asked.path),
  }
  const holds = (one: { match: string; value?: string }, found: string | undefined) =>
    one.match === 'ABSENT'
      ? found === undefined
      : found !== undefined &&
        (one.match === 'PRESENT' ||
          found === one.value ||
          (one.match === 'REGEX' && RE2JS.matches(one.value ?? '', found)))
  return (
    fits[at?.match ?? 'PREFIX'] &&
    (method === undefined || method === asked.method) &&
    headers.every((one) => holds(one, asked.headers[one.name])) &&
    queryParameters.every((one) => holds(one, asked.query[one.name]))
  )
}

interface TextJson {
  readonly exact?: string
  readonly safe_regex?: { readonly regex: string }
}
interface RouteJson {
  readonly match: {
    readonly path?: string
    readonly prefix?: string
    readonly safe_regex?: { readonly regex: string }
    readonly headers?: readonly {
      readonly name: string
      readonly string_match?: TextJson
      readonly present_match?: boolean
    }[]
    readonly query_parameters?: readonly { readonly name: string; readonly string_match: TextJson }[]
  }
  readonly route?: { readonly weighted_clusters: { readonly clusters: readonly { readonly name: string }[] } }
}
interface TableJson {
  readonly virtual_hosts?: readonly { readonly domains: readonly string[]; readonly routes: readonly RouteJson[] }[]
}

/** Selects a route as Envoy does: the most specific domain, then the first route that matches. */
function answered({ virtual_hosts: hosts = [] }: TableJson, asked: Request): string | undefined {
  const stands = (domain: string) =>
    domain === asked.host || (domain.startsWith('*') && asked.host.endsWith(domain.slice(1)))
  const host = hosts
    .filter(({ domains }) => domains.some(stands))
    .sort((a, b) => rankOfHost(b.domains[0] ?? '') - rankOfHost(a.domains[0] ?? ''))[0]
  const holds = (one: TextJson, found: string | undefined) =>
    found !== undefined && (one.safe_regex ? RE2JS.matches(one.safe_regex.regex, found) : one.exact === found)
  const hit = host?.routes.find(
    ({ match: { path: exact, prefix, safe_regex: regex, headers = [], query_parameters: queries = [] } }) => {
      const sent: Readonly<Record<string, string>> = { ...asked.headers, ':method': asked.method }
      return (
        (exact === undefined || exact === asked.path) &&
        (prefix === undefined || asked.path.startsWith(prefix)) &&
        (regex === undefined || RE2JS.matches(regex.regex, asked.path)) &&
        headers.every(({ name, string_match: text, present_match: present }) =>
          text ? holds(text, sent[name]) : present === (sent[name] !== undefined),
        ) &&
        queries.every(({ name, string_match: text }) => holds(text, asked.query[name]))
      )
    },
  )
  return hit?.route?.weighted_clusters.clusters[0]?.name.replace(/-[0-9a-f]{16}$/, '')
}

test('GW9 for any set of routes, a request reaches the route that the Gateway API selects', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(listener, { minLength: 1, maxLength: 3 }),
      routes,
      fc.array(request, { minLength: 5, maxLength: 20 }),
      (listeners, all, requests) => {
        const scene = createScene()
        const versions = [
          scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('10.0.0.5')),
          scene.put(
            global('MeshGateway', 'edge'),
            meshGateway(
              listeners.map((one) => ({ port: 80, protocol: 'HTTP', hostname: one, tags: { at: tagOf(one) } })),
            ),
          ),
          ...all.map(({ name, listener: bound, hostnames, matches }) =>
            scene.put(
              global('MeshGatewayRoute', name),
              httpRoute(
                matches.map((one, at) => ({
                  matches: [one],
                  backends: [{ destination: { 'kuma.io/service': `${name}-${at}` } }],
                })),
                { hostnames },
                bound === undefined ? {} : { at: tagOf(bound) },
              ),
            ),
          ),
        ]
        const compiler = createCompiler({ zone: 'east' })
        compiler.apply(versions, scene.revision)
        const table = compiler.table('east/Dataplane/default/edge', { canBindPort80: true })
        const json = decoded(table, typeUrls.route)['edge:HTTP:80:*'] as TableJson // the test reads what it needs of it
        for (const asked of requests)
          expect([asked, answered(json, asked)]).toEqual([asked, expected(listeners, all, asked)])
      },
    ),
    { numRuns: 500 },
  )
})
