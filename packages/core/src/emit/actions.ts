import { create } from '@bufbuild/protobuf'
import { HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RedirectAction_RedirectResponseCode,
  RouteAction_ClusterNotFoundResponseCode,
  RouteMatch_ConnectMatcherSchema,
  RouteMatchSchema,
  RouteSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { RegexMatcherSchema } from '../../gen/envoy/type/matcher/v3/regex_pb.js'
import { type StringMatcher, StringMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.js'
import { FractionalPercent_DenominatorType } from '../../gen/envoy/type/v3/percent_pb.js'
import type {
  ForwardAction,
  HeaderChanges,
  HeaderMatch,
  HeaderValue,
  RedirectAction,
  RedirectStatus,
  RouteModel,
  TextMatch,
} from '../model/model.ts'
import type { HttpRetries } from '../policies/retry/retries.ts'
import { durationField, encode, milliseconds } from './encode.ts'

/** The header with the tags of a gateway. Gateways set it themselves and remove it from requests. */
export const tagsHeaderName = 'x-kuma-tags'

/** A route that forwards. */
export const forwardRoute = (model: RouteModel, action: ForwardAction): Uint8Array =>
  encode(RouteSchema, {
    ...headOf(model),
    action: {
      case: 'route',
      value: {
        clusterSpecifier: targetOf(action),
        ...(action.weighted
          ? { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR }
          : {}),
        ...durationField('timeout', action.requestMs),
        ...durationField('idleTimeout', action.idleMs),
        ...(action.retries ? { retryPolicy: retryPolicy(action.retries) } : {}),
        ...hostOf(action),
        ...rewriteOf(action),
        requestMirrorPolicies: (action.mirrors ?? []).map(({ cluster, perMillion }) => ({
          cluster,
          runtimeFraction: { defaultValue: fractionOf(perMillion) },
        })),
        upgradeConfigs: model.method === 'CONNECT' ? [{ upgradeType: 'CONNECT' }] : [],
      },
    },
  })

/** A route that redirects; with `port` only if the response must contain one. */
export const redirectRoute = (
  model: RouteModel,
  { status, scheme, host, path }: RedirectAction,
  port: number | undefined,
): Uint8Array =>
  encode(RouteSchema, {
    ...headOf(model),
    action: {
      case: 'redirect',
      value: {
        responseCode: redirectCodes[status],
        ...(scheme ? { schemeRewriteSpecifier: { case: 'schemeRedirect' as const, value: scheme } } : {}),
        ...(host === undefined ? {} : { hostRedirect: host }),
        ...(port === undefined ? {} : { portRedirect: port }),
        ...(path
          ? {
              pathRewriteSpecifier: {
                case: path.type === 'full' ? ('pathRedirect' as const) : ('prefixRewrite' as const),
                value: path.path,
              },
            }
          : {}),
        // A path with its own query replaces the query of the request. After a fragment, the query would become part of
        // the fragment.
        stripQuery: path !== undefined && /[?#]/.test(path.path),
      },
    },
  })

const redirectCodes: Record<RedirectStatus, RedirectAction_RedirectResponseCode> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
}

/** The match and the header changes of a route. */
const headOf = (model: RouteModel) => ({
  match: create(RouteMatchSchema, {
    pathSpecifier: pathOf(model),
    headers: [
      ...(model.method ? [headerMatcher({ name: ':method', type: 'exact', value: model.method })] : []),
      ...model.headers.map(headerMatcher),
    ],
    queryParameters: model.queries.map((one) =>
      create(QueryParameterMatcherSchema, {
        name: one.name,
        queryParameterMatchSpecifier: { case: 'stringMatch', value: textMatcher(one) },
      }),
    ),
  }),
  requestHeadersToAdd: appendedOf(model.requestHeaders),
  requestHeadersToRemove: [...(model.requestHeaders?.remove ?? [])],
  responseHeadersToAdd: appendedOf(model.responseHeaders),
  responseHeadersToRemove: [...(model.responseHeaders?.remove ?? [])],
})

const headerMatcher = (match: HeaderMatch): HeaderMatcher =>
  create(HeaderMatcherSchema, {
    name: match.name,
    headerMatchSpecifier:
      'value' in match
        ? { case: 'stringMatch', value: textMatcher(match) }
        : { case: 'presentMatch', value: match.type === 'present' },
  })

const exactly = (value: string) => ({ matchPattern: { case: 'exact' as const, value } })

const textMatcher = ({ type, value }: TextMatch): StringMatcher =>
  create(StringMatcherSchema, {
    matchPattern: type === 'exact' ? { case: 'exact', value } : { case: 'safeRegex', value: { regex: value } },
  })

function pathOf({ path: { type, path }, method }: RouteModel) {
  // A CONNECT request has no path, so a path matcher would never match.
  if (method === 'CONNECT') return { case: 'connectMatcher' as const, value: create(RouteMatch_ConnectMatcherSchema) }
  switch (type) {
    case 'exact':
      return { case: 'path' as const, value: path }
    case 'prefix':
      return { case: 'prefix' as const, value: path }
    case 'regex':
      return { case: 'safeRegex' as const, value: create(RegexMatcherSchema, { regex: path }) }
  }
}

const appendedOf = (changes: HeaderChanges | undefined) => [
  ...(changes?.set ?? []).map((one) => appended(one, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD)),
  ...(changes?.add ?? []).map((one) => appended(one, HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD)),
]

export const appended = (header: HeaderValue, appendAction: HeaderValueOption_HeaderAppendAction) => ({
  header: { key: header.name, value: header.value },
  appendAction,
})

function targetOf({ clusters, weighted }: ForwardAction) {
  if (!weighted) return { case: 'cluster' as const, value: clusters[0]?.name ?? '' }
  return {
    case: 'weightedClusters' as const,
    value: { clusters: clusters.map(({ name, weight }) => ({ name, weight })) },
  }
}

function hostOf({ host }: ForwardAction) {
  if (host === undefined) return {}
  return {
    hostRewriteSpecifier:
      host === 'endpoint'
        ? { case: 'autoHostRewrite' as const, value: { value: true } }
        : { case: 'hostRewriteLiteral' as const, value: host.literal },
  }
}

function rewriteOf({ path }: ForwardAction) {
  switch (path?.type) {
    case 'prefix':
      return { prefixRewrite: path.path }
    case 'full':
      // A backslash would refer to a capture group.
      return { regexRewrite: { pattern: { regex: '.*' }, substitution: path.path.replaceAll('\\', '\\\\') } }
    case undefined:
      return {}
  }
}

/** The fraction with the smallest denominator that is exact. */
function fractionOf(perMillion: number) {
  const { HUNDRED, TEN_THOUSAND, MILLION } = FractionalPercent_DenominatorType
  if (perMillion % 10_000 === 0) return { numerator: perMillion / 10_000, denominator: HUNDRED }
  if (perMillion % 100 === 0) return { numerator: perMillion / 100, denominator: TEN_THOUSAND }
  return { numerator: perMillion, denominator: MILLION }
}

const retryPolicy = ({ retryOn, retries, perTryMs, backOff, statusCodes, methods }: HttpRetries) => ({
  retryOn: retryOn.join(','),
  ...(retries === undefined ? {} : { numRetries: retries }),
  ...durationField('perTryTimeout', perTryMs),
  ...(backOff
    ? {
        retryBackOff: {
          baseInterval: milliseconds(backOff.baseMs),
          ...durationField('maxInterval', backOff.maxMs),
        },
      }
    : {}),
  retriableStatusCodes: [...statusCodes],
  retriableRequestHeaders: methods.map((method) => ({
    name: ':method',
    headerMatchSpecifier: { case: 'stringMatch' as const, value: exactly(method) },
  })),
})
