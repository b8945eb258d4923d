import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import fc from 'fast-check'
import { listener, type Request, type Route, request, routes } from '../../packages/core/test/gateway/random-routes.ts'

/**
 * Small random meshes of one zone: a gateway, services behind one sidecar, routes, permissions and policies, and
 * requests.
 */

/** The services: `down` has an instance that is not ready, and `gone` has no instance. */
export const instances = [
  { service: 'a', version: 'v1', port: 10_001 },
  { service: 'b', version: 'v1', port: 10_002 },
  { service: 'b', version: 'v2', port: 10_003 },
  { service: 'down', version: 'v1', port: 10_004 },
] as const
export const gatewayPort = 18_080
const unresolved = 'kuma.io/unresolved-backend'

type Outcome =
  | {
      readonly type: 'forward'
      readonly service: string
      readonly version?: string | undefined
      readonly rewrite: boolean
    }
  | { readonly type: 'redirect'; readonly status: number }

interface RandomScene {
  readonly mtls: 'none' | 'STRICT' | 'PERMISSIVE'
  /** The gateways: `edge` selects only the proxy, `any` selects every proxy. */
  readonly gateways: readonly { readonly name: 'edge' | 'any'; readonly listeners: readonly string[] }[]
  readonly routes: readonly (Route & { readonly outcomes: readonly Outcome[] })[]
  readonly permissions: readonly { readonly source: string; readonly destination: string }[]
  readonly denied: boolean
  readonly timeout: string
  readonly requests: readonly Request[]
}

const service = fc.constantFrom('a', 'a', 'b', 'b', 'down', 'gone', unresolved)
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  {
    arbitrary: fc.record({
      type: fc.constant('forward' as const),
      service,
      version: fc.constantFrom(undefined, undefined, 'v1', 'v2'),
      rewrite: fc.boolean(),
    }),
    weight: 5,
  },
  fc.record({ type: fc.constant('redirect' as const), status: fc.constantFrom(301, 302, 307) }),
)

/** A host that a hostname covers. */
const hostOf = (hostname: string): string => (hostname === '*' ? 'a.x' : hostname.replace('*', 'a'))

/** A request that meets one match of a route, except for the parts left to chance. */
function aimed(all: RandomScene['routes'], { at, chance, isLeft }: Aim): Request {
  const route = all[at % all.length]
  const one = route?.matches[at % (route.matches.length || 1)]
  const value = (found: { readonly match?: string; readonly value?: string }) =>
    found.match === 'REGEX' || found.match === 'PRESENT' ? '1' : (found.value ?? '1')
  const headers = (one?.headers ?? []).filter((header) => header.match !== 'ABSENT')
  const [host, path, method, criteria] = isLeft
  return {
    host: host ? chance.host : hostOf(route?.hostnames[0] ?? route?.listener ?? 'a.x'),
    path: path ? chance.path : one?.path?.match === 'REGEX' ? '/a' : (one?.path?.value ?? '/'),
    method: method ? chance.method : (one?.method ?? chance.method),
    headers: criteria ? chance.headers : Object.fromEntries(headers.map((header) => [header.name, value(header)])),
    query: criteria
      ? chance.query
      : Object.fromEntries((one?.queryParameters ?? []).map((query) => [query.name, value(query)])),
  }
}

interface Aim {
  readonly at: number
  readonly chance: Request
  /** Whether host, path, method, headers and query are left to chance. */
  readonly isLeft: readonly boolean[]
}

const seldom = fc.integer({ min: 0, max: 7 }).map((found) => found === 0)
const aim: fc.Arbitrary<Aim> = fc.record({
  at: fc.nat({ max: 59 }),
  chance: request,
  isLeft: fc.array(seldom, { minLength: 4, maxLength: 4 }),
})

const anyScene = fc.record({
  mtls: fc.constantFrom('none' as const, 'STRICT' as const, 'STRICT' as const, 'PERMISSIVE' as const),
  gateways: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('edge' as const, 'any' as const),
      // Mostly one listener for any host, and others.
      listeners: fc.uniqueArray(fc.oneof({ arbitrary: fc.constant('*'), weight: 2 }, listener), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
    { minLength: 1, maxLength: 2, selector: ({ name }) => name },
  ),
  routes: routes.chain((all) =>
    fc.tuple(
      ...all.map((route) =>
        fc
          .array(outcome, { minLength: route.matches.length, maxLength: route.matches.length })
          .map((outcomes) => ({ ...route, outcomes })),
      ),
    ),
  ),
  permissions: fc.array(
    fc.record({ source: fc.constantFrom('edge', 'edge', '*', 'other'), destination: fc.constantFrom('a', 'b', '*') }),
    { maxLength: 3 },
  ),
  denied: fc.boolean(),
  timeout: fc.constantFrom('a', 'b', '*'),
  aims: fc.array(aim, { minLength: 20, maxLength: 20 }),
})

/** Binds routes to existing listeners, except the routes of one name. */
function boundHere({ gateways, routes: all }: Pick<RandomScene, 'gateways' | 'routes'>): RandomScene['routes'] {
  const hostnames = gateways.flatMap(({ listeners }) => listeners)
  return all.map(({ listener: bound, ...route }) =>
    bound === undefined || (!hostnames.includes(bound) && route.name !== 'n') ? route : { ...route, listener: bound },
  )
}

export const randomScene: fc.Arbitrary<RandomScene> = anyScene
  .map((scene) => ({ ...scene, routes: boundHere(scene) }))
  .map(({ aims, ...scene }) => ({ ...scene, requests: aims.map((one) => aimed(scene.routes, one)) }))

const tagOf = (hostname: string): string => hostname.replace('*', 'any')

/** Addresses of the gateway, of the sidecar and of the services behind it. */
type Places = Readonly<Record<'edge' | 'services' | 'upstream', string>>

/**
 * The rows of a scene. The proxies of each scene listen at other addresses, so that no scene gets connections of
 * another.
 */
export function rowsOf(scene: RandomScene, { edge, services, upstream }: Places): Row[] {
  let revision = 0
  const row = (origin: string, kind: string, name: string, spec: unknown, mesh = 'default'): Row => {
    revision += 1
    const stamp = { incarnation: 1, originRevision: revision, createdAtMs: revision, modifiedAtMs: revision }
    return { key: { origin, kind, mesh, name }, stamp, labels: {}, spec: spec as JsonObject } // written as JSON here
  }
  const selecting = (match: Readonly<Record<string, string>>) => ({ selectors: [{ match }] })
  return [
    row(
      'global',
      'Mesh',
      'default',
      scene.mtls === 'none'
        ? {}
        : { mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin', mode: scene.mtls }] } },
      '',
    ),
    row('global', 'Zone', 'east', { enabled: true }, ''),
    ...scene.gateways.map(({ name, listeners }) =>
      row('global', 'MeshGateway', `${name}-${edge}`, {
        ...selecting({ 'kuma.io/service': name === 'any' ? '*' : name }),
        conf: {
          listeners: listeners.map((hostname) => ({
            port: gatewayPort,
            protocol: 'HTTP',
            hostname,
            tags: { at: tagOf(hostname) },
          })),
        },
      }),
    ),
    ...scene.routes.map(({ name, listener: bound, hostnames, matches, outcomes }) =>
      row('global', 'MeshGatewayRoute', name, {
        ...selecting({ 'kuma.io/service': 'edge', ...(bound === undefined ? {} : { at: tagOf(bound) }) }),
        conf: {
          http: {
            hostnames,
            rules: matches.map((one, at) => ({ matches: [one], ...actionOf(outcomes[at], `${name}-${at}`) })),
          },
        },
      }),
    ),
    ...scene.permissions.map(({ source, destination }, at) =>
      row('global', 'TrafficPermission', `p${at}`, {
        sources: [{ match: { 'kuma.io/service': source } }],
        destinations: [{ match: { 'kuma.io/service': destination } }],
      }),
    ),
    ...(scene.denied
      ? [
          row('global', 'MeshTrafficPermission', 'deny', {
            from: [
              { targetRef: { kind: 'MeshSubset', tags: { 'kuma.io/service': 'edge' } }, default: { action: 'Deny' } },
            ],
          }),
        ]
      : []),
    row('global', 'Timeout', 't', {
      sources: [{ match: { 'kuma.io/service': '*' } }],
      destinations: [{ match: { 'kuma.io/service': scene.timeout } }],
      conf: { connectTimeout: '4s' },
    }),
    row('east', 'Dataplane', 'edge', {
      networking: { address: edge, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
    }),
    row('east', 'Dataplane', 'services', {
      networking: {
        address: services,
        inbound: instances.map(({ service: name, version, port }) => ({
          port,
          servicePort: port,
          serviceAddress: upstream,
          state: name === 'down' ? 'NotReady' : 'Ready',
          tags: { 'kuma.io/service': name, 'kuma.io/protocol': 'http', version },
        })),
      },
    }),
  ]
}

/** The header that names the rule and the route that answered. */
export const ruleHeader = 'x-rule'

function actionOf(found: Outcome | undefined, rule: string) {
  const named = { responseHeader: { set: [{ name: ruleHeader, value: rule }] } }
  if (found?.type === 'redirect')
    return { filters: [named, { redirect: { statusCode: found.status, hostname: 'elsewhere.x' } }] }
  const { service: name = 'a', version, rewrite = false } = found ?? {}
  const destination = { 'kuma.io/service': name, ...(version === undefined ? {} : { version }) }
  return {
    filters: [named, ...(rewrite ? [{ rewrite: { replaceFull: '/new' } }] : [])],
    // A backend without weight gets no requests, whatever its service is.
    backends: [
      { weight: 1, destination },
      { weight: 0, destination: { 'kuma.io/service': 'gone' } },
    ],
  }
}
