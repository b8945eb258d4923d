import { firstOf, selectorsText, tagsText } from './columns.ts'
import { checkSelectors } from './common.ts'
import { type Column, defineKind, type IndexEntry, type TypedRow, type Violation } from './kind.ts'
import {
  type MeshGatewayRouteSpec,
  meshGatewayRouteSchema,
  type RouteBackend,
  type RouteMatch,
  type RouteRule,
} from './mesh-gateway-route-spec.ts'
import { hostnameFault } from './mesh-gateway-spec.ts'
import { demand, selecting } from './ranges.ts'
import { checkBackends, checkRule, unmetMatches } from './route-checks.ts'

function check(route: MeshGatewayRouteSpec): Violation[] {
  const violations = checkSelectors('selectors', route.selectors, { requireAny: true, requireService: true })
  const { http, tcp } = route.conf ?? {}
  if (!http && !tcp) violations.push({ field: 'conf', reason: 'cannot be empty' })
  if (http && tcp) violations.push({ field: 'conf', reason: 'must have either http or tcp' })
  if (http) {
    if (!http.rules?.length) violations.push({ field: 'conf.http.rules', reason: 'cannot be empty' })
    http.rules?.forEach((one, index) => violations.push(...checkRule(`conf.http.rules[${index}]`, one)))
    violations.push(...checkHostnames('conf.http.hostnames', http.hostnames ?? []))
  }
  if (tcp) {
    if (!tcp.rules?.length) violations.push({ field: 'conf.tcp.rules', reason: 'cannot be empty' })
    tcp.rules?.forEach((one, index) =>
      violations.push(...checkBackends(`conf.tcp.rules[${index}].backends`, one.backends ?? [])),
    )
  }
  return violations
}

const checkHostnames = (field: string, hostnames: readonly string[]): Violation[] =>
  hostnames.flatMap((hostname, index) => {
    const first = hostnames.indexOf(hostname)
    const reason = hostname === '' ? 'cannot be empty' : hostnameFault(hostname)
    if (reason !== undefined) return [{ field: `${field}[${index}]`, reason }]
    return first < index ? [{ field: `${field}[${index}]`, reason: `is the same as ${field}[${first}]` }] : []
  })

/** A route is indexed by its selectors, and its destinations by their services. */
function indexOf(row: TypedRow<MeshGatewayRouteSpec>): readonly IndexEntry[] {
  const { selectors, conf } = row.spec
  const { mesh } = row.key
  const rules = conf?.http?.rules ?? []
  return [
    ...selecting(row, selectors),
    ...rules.flatMap((rule) => [
      ...(rule.backends ?? []).flatMap((one) => demand(mesh, one.destination)),
      ...(rule.filters ?? []).flatMap((filter) => demand(mesh, filter.mirror?.backend?.destination)),
    ]),
    ...(conf?.tcp?.rules ?? []).flatMap((rule) =>
      (rule.backends ?? []).flatMap((one) => demand(mesh, one.destination)),
    ),
  ]
}

const backendsText = (backends: readonly RouteBackend[] | undefined): string =>
  firstOf((backends ?? []).map(({ destination }) => tagsText(destination)))

/** `/shop*` for a prefix, `/shop` for an exact path, `~^/v[12]/` for a pattern; with the method if there is one. */
function matchText({ path, method }: RouteMatch): string {
  const value = path?.value ?? '/'
  const how = path?.match ?? 'EXACT'
  const text = !path ? '/*' : how === 'PREFIX' ? `${value}*` : how === 'REGEX' ? `~${value}` : value
  return method && method !== 'NONE' ? `${method} ${text}` : text
}

function ruleText({ matches, backends, filters }: RouteRule): string {
  const target = filters?.some(({ redirect }) => redirect) ? '(redirect)' : backendsText(backends)
  return `${firstOf((matches ?? [{}]).map(matchText), 2)} → ${target}`
}

const columns: readonly Column<MeshGatewayRouteSpec>[] = [
  { title: 'GATEWAY', cell: ({ spec }) => selectorsText(spec.selectors) },
  { title: 'HOSTNAMES', cell: ({ spec: { conf } }) => (conf?.http ? firstOf(conf.http.hostnames ?? ['*']) : '') },
  {
    title: 'ROUTES',
    cell: ({ spec: { conf } }) =>
      [
        ...(conf?.http?.rules ?? []).map(ruleText),
        ...(conf?.tcp?.rules ?? []).map(({ backends }) => `tcp → ${backendsText(backends)}`),
      ].join('; '),
  },
]

export const meshGatewayRoute = defineKind({
  name: 'MeshGatewayRoute',
  path: 'meshgatewayroutes',
  commandName: 'mgwr',
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  schema: meshGatewayRouteSchema,
  compiled: { owner: 'global', blame: 10, index: indexOf },
  check,
  columns,
  unserved: (spec) =>
    (spec.conf?.http?.rules ?? []).flatMap((one, index) => unmetMatches(`conf.http.rules[${index}]`, one)),
})
