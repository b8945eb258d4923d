import { z } from 'zod'
import { checkSelectors, protoEnum, selectorList, serviceTag, tagMap } from './common.ts'
import { defineKind, type IndexEntry, message, type TypedRow, type Violation } from './kind.ts'
import { hostnameFault } from './mesh-gateway-spec.ts'
import { demand, selecting } from './ranges.ts'
import { checkBackends, checkRule, unmetMatches } from './route-checks.ts'

const backend = message({ weight: z.number().int().nonnegative().optional(), destination: tagMap.optional() })
const header = message({ name: z.string().optional(), value: z.string().optional() })
const headerFilter = message({
  set: z.array(header).optional(),
  add: z.array(header).optional(),
  remove: z.array(z.string()).optional(),
})

const filter = message({
  requestHeader: headerFilter.optional(),
  responseHeader: headerFilter.optional(),
  mirror: message({ percentage: z.number().optional(), backend: backend.optional() }).optional(),
  redirect: message({
    scheme: z.string().optional(),
    hostname: z.string().optional(),
    port: z.number().int().optional(),
    statusCode: z.number().int().optional(),
    path: message({ replaceFull: z.string().optional(), replacePrefixMatch: z.string().optional() }).optional(),
  }).optional(),
  rewrite: message({
    replaceFull: z.string().optional(),
    replacePrefixMatch: z.string().optional(),
    hostToBackendHostname: z.boolean().optional(),
  }).optional(),
})

const match = message({
  path: message({ match: protoEnum(['EXACT', 'PREFIX', 'REGEX']).optional(), value: z.string().optional() }).optional(),
  method: protoEnum([
    'NONE',
    'CONNECT',
    'DELETE',
    'GET',
    'HEAD',
    'OPTIONS',
    'PATCH',
    'POST',
    'PUT',
    'TRACE',
  ]).optional(),
  headers: z
    .array(
      message({
        match: protoEnum(['EXACT', 'REGEX', 'ABSENT', 'PRESENT']).optional(),
        name: z.string().optional(),
        value: z.string().optional(),
      }),
    )
    .optional(),
  queryParameters: z
    .array(
      message({
        match: protoEnum(['EXACT', 'REGEX']).optional(),
        name: z.string().optional(),
        value: z.string().optional(),
      }),
    )
    .optional(),
})

const rule = message({
  matches: z.array(match).optional(),
  filters: z.array(filter).optional(),
  backends: z.array(backend).optional(),
})

const meshGatewayRouteSchema = message({
  selectors: selectorList.default([]),
  conf: message({
    http: message({ hostnames: z.array(z.string()).optional(), rules: z.array(rule).optional() }).optional(),
    tcp: message({ rules: z.array(message({ backends: z.array(backend).optional() })).optional() }).optional(),
  }).optional(),
})
export type MeshGatewayRouteSpec = z.infer<typeof meshGatewayRouteSchema>
export type RouteRule = z.infer<typeof rule>
export type RouteMatch = z.infer<typeof match>
export type RouteFilter = z.infer<typeof filter>
export type RouteBackend = z.infer<typeof backend>
export type RouteHeaderFilter = z.infer<typeof headerFilter>
export type RouteRedirect = NonNullable<RouteFilter['redirect']>

function check(route: MeshGatewayRouteSpec): Violation[] {
  const violations = checkSelectors('selectors', route.selectors, true)
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

/** The service of a backend; admission has made sure there is one. */
export const backendService = (target: RouteBackend): string => target.destination?.[serviceTag] ?? ''

/** A route is found by the listeners that it is bound to, and its destinations by the services that it asks for. */
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

export const meshGatewayRoute = defineKind({
  name: 'MeshGatewayRoute',
  path: 'meshgatewayroutes',
  shortName: 'mgwr',
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  schema: meshGatewayRouteSchema,
  compiled: { owner: 'global', blame: 10, index: indexOf },
  check,
  unserved: (spec) =>
    (spec.conf?.http?.rules ?? []).flatMap((one, index) => unmetMatches(`conf.http.rules[${index}]`, one)),
})
