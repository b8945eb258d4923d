import { RE2JS } from 're2js'
import { z } from 'zod'
import {
  checkSelectors,
  checkTags,
  portInRange,
  portReason,
  protoEnum,
  selectorList,
  serviceTag,
  tagMap,
} from './common.ts'
import { defineKind, message, type Violation } from './kind.ts'

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

const empty = (field: string): Violation => ({ field, reason: 'cannot be empty' })

/** Envoy matches with RE2; a pattern that RE2 refuses would be refused by every gateway. */
function checkRegex(field: string, pattern: string): Violation[] {
  try {
    RE2JS.compile(pattern)
    return []
  } catch (thrown) {
    return [
      {
        field,
        reason: `must be a regular expression of RE2: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      },
    ]
  }
}

function checkBackend(field: string, { destination = {} }: RouteBackend): Violation[] {
  // Kuma's field paths have no ".destination" here; clients compare them.
  if (Object.keys(destination).length === 0) return [{ field, reason: 'must have at least one tag' }]
  return checkTags(field, destination, { selector: false, requireService: true, allowSlash: true })
}

function checkMatch(field: string, { path, method, headers = [], queryParameters = [] }: RouteMatch): Violation[] {
  const violations: Violation[] = []
  if (!path && (method ?? 'NONE') === 'NONE' && headers.length === 0 && queryParameters.length === 0)
    return [empty(field)]
  if (path) {
    const value = path.value ?? ''
    if (path.match === 'REGEX')
      violations.push(...(value === '' ? [empty(`${field}.value`)] : checkRegex(`${field}.value`, value)))
    else if (!value.startsWith('/')) violations.push({ field: `${field}.value`, reason: 'must be an absolute path' })
  }
  headers.forEach((one, index) => {
    const at = `${field}.headers[${index}]`
    const valueless = one.match === 'ABSENT' || one.match === 'PRESENT'
    if (!one.name) violations.push(empty(`${at}.name`))
    if (valueless && one.value) violations.push({ field: `${at}.value`, reason: 'cannot be set' })
    if (!valueless && !one.value) violations.push(empty(`${at}.value`))
    if (one.match === 'REGEX' && one.value) violations.push(...checkRegex(`${at}.value`, one.value))
  })
  queryParameters.forEach((one, index) => {
    const at = `${field}.query_parameters[${index}]`
    if (!one.name) violations.push(empty(`${at}.name`))
    if (!one.value) violations.push(empty(`${at}.value`))
    if (one.match === 'REGEX' && one.value) violations.push(...checkRegex(`${at}.value`, one.value))
  })
  return violations
}

function checkHeaderFilter(field: string, value: z.infer<typeof headerFilter>, hostIsRewritten: boolean): Violation[] {
  const violations: Violation[] = []
  if (!value.set?.length && !value.add?.length && !value.remove?.length) violations.push(empty(field))
  for (const list of ['set', 'add'] as const) {
    value[list]?.forEach((one, index) => {
      const at = `${field}.${list}[${index}]`
      if (!one.name) violations.push(empty(`${at}.name`))
      if (!one.value) violations.push(empty(`${at}.value`))
      if (hostIsRewritten && /^(host|:authority)$/i.test(one.name ?? '')) {
        violations.push({
          field: at,
          reason: `cannot modify '${one.name}' header, when route has set 'rewrite.host_to_backend_hostname' option`,
        })
      }
    })
  }
  value.remove?.forEach((name, index) => {
    if (!name) violations.push(empty(`${field}.remove[${index}]`))
  })
  return violations
}

const redirectStatuses = [301, 302, 303, 307, 308]

function checkFilters(field: string, rule: RouteRule): Violation[] {
  const filters = rule.filters ?? []
  const hostIsRewritten = filters.some((one) => one.rewrite?.hostToBackendHostname)
  // Kuma counts filter indexes without those that rewrite the host.
  const counted = filters.filter((one) => !one.rewrite?.hostToBackendHostname)
  const violations: Violation[] = counted.flatMap((one, index) => {
    const at = `${field}[${index}]`
    const found: Violation[] = []
    if (Object.keys(one).length !== 1) found.push({ field: at, reason: 'must have exactly one filter' })
    if (one.requestHeader) found.push(...checkHeaderFilter(`${at}.request_header`, one.requestHeader, hostIsRewritten))
    if (one.responseHeader) found.push(...checkHeaderFilter(`${at}.response_header`, one.responseHeader, false))
    if (one.redirect) {
      const { port = 0, statusCode = 0 } = one.redirect
      if (port !== 0 && !portInRange(port)) found.push({ field: `${at}.redirect.port`, reason: portReason })
      if (statusCode < 300 || statusCode > 308)
        found.push({ field: `${at}.redirect.status_code`, reason: 'must be in the range [300, 308]' })
      else if (!redirectStatuses.includes(statusCode)) {
        found.push({
          field: `${at}.redirect.status_code`,
          reason: `redirect status code ${statusCode} is not supported`,
          choices: redirectStatuses.map(String),
        })
      }
    }
    if (one.mirror) {
      const { percentage, backend: target } = one.mirror
      if (percentage === undefined) found.push(empty(`${at}.mirror.percentage`))
      else if (percentage < 0 || percentage > 100)
        found.push({ field: `${at}.mirror.percentage`, reason: 'has to be in [0.0 - 100.0] range' })
      found.push(...(target ? checkBackend(`${at}.mirror.backend`, target) : [empty(`${at}.mirror.backend`)]))
    }
    if (
      one.rewrite?.replacePrefixMatch !== undefined &&
      !rule.matches?.some((entry) => entry.path?.match === 'PREFIX')
    ) {
      found.push({ field: `${at}.rewrite.replacePrefixMatch`, reason: 'cannot be used without a match on path prefix' })
    }
    return found
  })
  if (filters.some((one) => one.redirect) && filters.length > 1) {
    violations.push({ field, reason: 'redirects cannot be used with other filters' })
  }
  return violations
}

function checkRule(field: string, rule: RouteRule): Violation[] {
  if (!rule.matches?.length) return [empty(`${field}.matches`)]
  const violations = rule.matches.flatMap((entry, index) => checkMatch(`${field}.matches[${index}]`, entry))
  violations.push(...checkFilters(`${field}.filters`, rule))
  const redirects = rule.filters?.some((one) => one.redirect) ?? false
  const backends = rule.backends ?? []
  if (redirects && backends.length > 0)
    violations.push({ field: `${field}.backends`, reason: 'must be empty when using redirect filters' })
  if (!redirects && backends.length === 0) violations.push(empty(`${field}.backends`))
  if (!redirects) backends.forEach((one, index) => violations.push(...checkBackend(`${field}.backends[${index}]`, one)))
  return violations
}

function check(route: MeshGatewayRouteSpec): Violation[] {
  const violations = checkSelectors('selectors', route.selectors, true)
  const { http, tcp } = route.conf ?? {}
  if (!http && !tcp) violations.push(empty('conf'))
  if (http && tcp) violations.push({ field: 'conf', reason: 'must have either http or tcp' })
  if (http) {
    if (!http.rules?.length) violations.push(empty('conf.http.rules'))
    http.rules?.forEach((one, index) => violations.push(...checkRule(`conf.http.rules[${index}]`, one)))
    http.hostnames?.forEach((hostname, index) => {
      if (!/^(\*|(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$/.test(hostname)) {
        violations.push({
          field: `conf.http.hostnames[${index}]`,
          reason: hostname.startsWith('*') ? 'invalid wildcard domain' : 'invalid hostname',
        })
      }
    })
  }
  if (tcp) {
    if (!tcp.rules?.length) violations.push(empty('conf.tcp.rules'))
    tcp.rules?.forEach((one, index) => {
      const at = `conf.tcp.rules[${index}].backends`
      if (!one.backends?.length) violations.push(empty(at))
      one.backends?.forEach((target, position) => violations.push(...checkBackend(`${at}[${position}]`, target)))
    })
  }
  return violations
}

/** The service of a backend; admission has made sure there is one. */
export const backendService = (target: RouteBackend): string => target.destination?.[serviceTag] ?? ''

export const meshGatewayRoute = defineKind({
  name: 'MeshGatewayRoute',
  path: 'meshgatewayroutes',
  shortName: 'mgwr',
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  schema: meshGatewayRouteSchema,
  check,
  unserved: (spec) => [
    ...(spec.conf?.tcp ? ['conf.tcp: TCP routes are not served yet'] : []),
    ...(spec.conf?.http?.rules ?? []).flatMap((one, index) => {
      const at = `conf.http.rules[${index}]`
      return [
        ...(one.filters ?? []).flatMap((entry, position) =>
          Object.keys(entry)
            .filter((key) => key !== 'requestHeader')
            .map((key) => `${at}.filters[${position}].${key}: not served yet; requests pass as if it were not there`),
        ),
        ...(one.matches ?? []).flatMap((entry, position) => [
          ...(entry.headers ?? [])
            .filter((one) => (one.match ?? 'EXACT') !== 'EXACT')
            .map(
              (one) =>
                `${at}.matches[${position}].headers "${one.name}": ${one.match} is not served yet; this match is left out`,
            ),
          ...(entry.queryParameters ?? [])
            .filter((one) => (one.match ?? 'EXACT') !== 'EXACT')
            .map(
              (one) =>
                `${at}.matches[${position}].queryParameters "${one.name}": ${one.match} is not served yet; this match is left out`,
            ),
        ]),
      ]
    }),
  ],
})
