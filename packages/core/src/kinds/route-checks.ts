import { checkTags, isIp, isSubdomain, portInRange, portReason } from './common.ts'
import { hasControl, headerValueFault, isHeaderName } from './header-values.ts'
import type { Violation } from './kind.ts'
import type {
  RouteBackend,
  RouteFilter,
  RouteHeaderFilter,
  RouteMatch,
  RouteRedirect,
  RouteRule,
} from './mesh-gateway-route-spec.ts'
import { regexFault } from './regex.ts'

/**
 * The rules of a MeshGatewayRoute: Kuma's rules with its field paths and reasons, and rules that Kuma leaves to Envoy.
 * Without the latter, Envoy would refuse the whole table or send requests that no service can read.
 */
export function checkRule(field: string, rule: RouteRule): Violation[] {
  if (!rule.matches?.length) return [empty(`${field}.matches`)]
  const violations = rule.matches.flatMap((entry, index) => checkMatch(`${field}.matches[${index}]`, entry))
  violations.push(...checkFilters(`${field}.filters`, rule))
  const redirects = rule.filters?.some((one) => one.redirect) ?? false
  const backends = rule.backends ?? []
  if (redirects && backends.length > 0)
    violations.push({ field: `${field}.backends`, reason: 'must be empty when using redirect filters' })
  if (!redirects) violations.push(...checkBackends(`${field}.backends`, backends))
  return violations
}

export const redirectStatuses = [301, 302, 303, 307, 308] as const

const weightMax = 4_294_967_295
const headerChangesMax = 1_000
const parameterNameMax = 1_024

const empty = (field: string): Violation => ({ field, reason: 'cannot be empty' })

/** One violation if there is a reason, otherwise none. */
const fault = (field: string, reason: string | undefined): Violation[] =>
  reason === undefined ? [] : [{ field, reason }]

export function checkBackends(field: string, backends: readonly RouteBackend[]): Violation[] {
  const sum = backends.reduce((total, { weight = 0 }) => total + weight, 0)
  return [
    ...(backends.length === 0 ? [empty(field)] : []),
    ...backends.flatMap((one, index) => checkBackend(`${field}[${index}]`, one)),
    ...(sum > weightMax ? [{ field, reason: `the sum of weights must be at most ${weightMax}, found ${sum}` }] : []),
  ]
}

function checkBackend(field: string, { destination = {} }: RouteBackend): Violation[] {
  // Kuma's field paths have no ".destination" here, and clients compare paths.
  if (Object.keys(destination).length === 0) return [{ field, reason: 'must have at least one tag' }]
  return checkTags(field, destination, { selector: false, requireService: true, allowSlash: true })
}

/** Envoy matches with RE2. Every gateway would refuse a pattern that RE2 rejects. */
function checkRegex(field: string, pattern: string): Violation[] {
  const found = regexFault(pattern)
  return found === undefined ? [] : [{ field, reason: `must be a regular expression of RE2: ${found}` }]
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
    if (method === 'CONNECT' && !(path.match === 'PREFIX' && value === '/'))
      violations.push({ field: `${field}.value`, reason: 'cannot be used with method CONNECT, which has no path' })
  }
  headers.forEach((one, index) => {
    const at = `${field}.headers[${index}]`
    const valueless = one.match === 'ABSENT' || one.match === 'PRESENT'
    if (!one.name) violations.push(empty(`${at}.name`))
    else if (!isHeaderName(one.name) && !/^:(authority|method|path|scheme)$/i.test(one.name))
      violations.push({
        field: `${at}.name`,
        reason: `must be the name of a header, found ${JSON.stringify(one.name)}`,
      })
    if (valueless && one.value) violations.push({ field: `${at}.value`, reason: 'cannot be set' })
    if (!valueless && !one.value) violations.push(empty(`${at}.value`))
    if (one.match === 'REGEX' && one.value) violations.push(...checkRegex(`${at}.value`, one.value))
    else if (hasControl(one.value ?? ''))
      violations.push({ field: `${at}.value`, reason: 'must not have control characters' })
  })
  queryParameters.forEach((one, index) => {
    const at = `${field}.query_parameters[${index}]`
    if (!one.name) violations.push(empty(`${at}.name`))
    else if (Buffer.byteLength(one.name) > parameterNameMax)
      violations.push({ field: `${at}.name`, reason: `must have at most ${parameterNameMax} bytes` })
    if (!one.value) violations.push(empty(`${at}.value`))
    if (one.match === 'REGEX' && one.value) violations.push(...checkRegex(`${at}.value`, one.value))
  })
  return violations
}

/** Notes for matches that no request can meet. Kuma stores such routes, so they are not rejected. */
export function unmetMatches(field: string, rule: RouteRule): string[] {
  return (rule.matches ?? []).flatMap(({ path }, index) =>
    path && path.match !== 'REGEX' && /[?#]|\/\/|\s/.test(path.value ?? '')
      ? `${field}.matches[${index}].path: no request has the path ${JSON.stringify(path.value)}: a query is matched by ` +
        'queryParameters, and slashes that follow each other are one before routes are tried'
      : [],
  )
}

function checkFilters(field: string, rule: RouteRule): Violation[] {
  const filters = rule.filters ?? []
  const hostIsRewritten = filters.some((one) => one.rewrite?.hostToBackendHostname)
  const cutsPrefix = rule.matches?.some((entry) => entry.path?.match === 'PREFIX') ?? false
  // Kuma counts filter indexes without the filters that rewrite the host, and reports nothing about those.
  const counted = filters.filter((one) => !one.rewrite?.hostToBackendHostname)
  const violations = filters.flatMap((one, position) => {
    const index = counted.indexOf(one)
    const at = `${field}[${index < 0 ? position : index}]`
    return [
      ...(Object.keys(one).length === 1 ? [] : [{ field: at, reason: 'must have exactly one filter' }]),
      ...(one.requestHeader
        ? checkHeaderFilter(`${at}.request_header`, one.requestHeader, 'request', hostIsRewritten)
        : []),
      ...(one.responseHeader ? checkHeaderFilter(`${at}.response_header`, one.responseHeader, 'response', false) : []),
      ...(one.redirect ? checkRedirect(`${at}.redirect`, one.redirect, cutsPrefix) : []),
      ...(one.mirror ? checkMirror(`${at}.mirror`, one.mirror) : []),
      ...(one.rewrite ? checkPathFilter(`${at}.rewrite`, one.rewrite, cutsPrefix, /[?#]/) : []),
    ]
  })
  if (filters.some((one) => one.redirect) && filters.length > 1)
    violations.push({ field, reason: 'redirects cannot be used with other filters' })
  for (const side of ['requestHeader', 'responseHeader'] as const) {
    const all = filters.flatMap((one) => one[side] ?? [])
    const changes = all.reduce((sum, one) => sum + (one.set?.length ?? 0) + (one.add?.length ?? 0), 0)
    const removed = all.reduce((sum, one) => sum + (one.remove?.length ?? 0), 0)
    if (Math.max(changes, removed) > headerChangesMax)
      violations.push({ field, reason: `must change at most ${headerChangesMax} headers` })
  }
  return violations
}

function checkHeaderFilter(
  field: string,
  value: RouteHeaderFilter,
  side: 'request' | 'response',
  hostIsRewritten: boolean,
): Violation[] {
  const violations: Violation[] = []
  if (!value.set?.length && !value.add?.length && !value.remove?.length) violations.push(empty(field))
  for (const list of ['set', 'add'] as const) {
    value[list]?.forEach(({ name = '', value: text = '' }, index) => {
      const at = `${field}.${list}[${index}]`
      const writesHost = list === 'set' && side === 'request' && isHost(name)
      if (name === '') violations.push(empty(`${at}.name`))
      else if (!writesHost) violations.push(...fault(`${at}.name`, nameFault(name, list === 'set' ? 'set' : 'added')))
      if (text === '') violations.push(empty(`${at}.value`))
      else if (!writesHost) violations.push(...fault(`${at}.value`, headerValueFault(text)))
      else if (hasControl(text) || /\s/.test(text))
        violations.push({ field: `${at}.value`, reason: 'must not have spaces or control characters' })
      if (hostIsRewritten && isHost(name)) {
        violations.push({
          field: at,
          reason: `cannot modify '${name}' header, when route has set 'rewrite.host_to_backend_hostname' option`,
        })
      }
    })
  }
  value.remove?.forEach((name, index) => {
    const at = `${field}.remove[${index}]`
    violations.push(...(name === '' ? [empty(at)] : fault(at, nameFault(name, 'removed'))))
  })
  return violations
}

const isHost = (name: string): boolean => /^(host|:authority)$/i.test(name)

/** Why a header of this name cannot be changed. */
function nameFault(name: string, done: 'set' | 'added' | 'removed'): string | undefined {
  if (name.startsWith(':') || isHost(name)) return `header ${JSON.stringify(name)} cannot be ${done}`
  return isHeaderName(name) ? undefined : `must be the name of a header, found ${JSON.stringify(name)}`
}

function checkRedirect(
  field: string,
  { port = 0, statusCode = 0, scheme = '', hostname = '', path = {} }: RouteRedirect,
  cutsPrefix: boolean,
): Violation[] {
  const violations: Violation[] = []
  if (port !== 0 && !portInRange(port)) violations.push({ field: `${field}.port`, reason: portReason })
  if (statusCode < 300 || statusCode > 308)
    violations.push({ field: `${field}.status_code`, reason: 'must be in the range [300, 308]' })
  else if (!redirectStatuses.some((one) => one === statusCode)) {
    violations.push({
      field: `${field}.status_code`,
      reason: `redirect status code ${statusCode} is not supported`,
      choices: redirectStatuses.map(String),
    })
  }
  if (!/^(https?)?$/i.test(scheme)) {
    const reason = `must be "http" or "https", found ${JSON.stringify(scheme)}`
    violations.push({ field: `${field}.scheme`, reason, choices: ['http', 'https'] })
  }
  if (hostname !== '' && !isSubdomain(hostname.toLowerCase()) && !isIp(hostname.replace(/^\[(.*)\]$/, '$1')))
    violations.push({ field: `${field}.hostname`, reason: `invalid hostname ${JSON.stringify(hostname)}` })
  return [...violations, ...checkPathFilter(`${field}.path`, path, cutsPrefix, undefined)]
}

/**
 * `forbidden`: characters that a full path must not contain, because the query or fragment of the request follows it.
 */
function checkPathFilter(
  field: string,
  { replaceFull, replacePrefixMatch }: Pick<NonNullable<RouteFilter['rewrite']>, 'replaceFull' | 'replacePrefixMatch'>,
  cutsPrefix: boolean,
  forbidden: RegExp | undefined,
): Violation[] {
  const hasSpace = (text: string) => hasControl(text) || /\s/.test(text)
  const full = `${field}.replaceFull`
  const prefix = `${field}.replacePrefixMatch`
  const violations: Violation[] = []
  if (replaceFull !== undefined && replacePrefixMatch !== undefined)
    violations.push({ field, reason: 'must have either replaceFull or replacePrefixMatch' })
  if (replaceFull !== undefined) {
    if (!replaceFull.startsWith('/')) violations.push({ field: full, reason: 'must be an absolute path' })
    if (forbidden?.test(replaceFull)) violations.push({ field: full, reason: 'must not have a query or a fragment' })
    if (hasSpace(replaceFull)) violations.push({ field: full, reason: 'must not have spaces or control characters' })
  }
  if (replacePrefixMatch !== undefined) {
    if (!cutsPrefix) violations.push({ field: prefix, reason: 'cannot be used without a match on path prefix' })
    if (!/^(\/|$)/.test(replacePrefixMatch)) violations.push({ field: prefix, reason: 'must be an absolute path' })
    if (/[?#]/.test(replacePrefixMatch))
      violations.push({ field: prefix, reason: 'must not have a query or a fragment' })
    if (hasSpace(replacePrefixMatch))
      violations.push({ field: prefix, reason: 'must not have spaces or control characters' })
  }
  return violations
}

function checkMirror(field: string, { percentage, backend }: NonNullable<RouteFilter['mirror']>): Violation[] {
  const violations: Violation[] = []
  if (percentage === undefined) violations.push(empty(`${field}.percentage`))
  else if (percentage < 0 || percentage > 100)
    violations.push({ field: `${field}.percentage`, reason: 'has to be in [0.0 - 100.0] range' })
  return [...violations, ...(backend ? checkBackend(`${field}.backend`, backend) : [empty(`${field}.backend`)])]
}
