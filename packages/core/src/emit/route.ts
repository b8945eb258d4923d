import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  RouteAction_ClusterNotFoundResponseCode,
  RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.js'
import type { HeaderValue, PathMatch, RouteModel, RouteTableModel, VirtualHostModel } from '../compile/model.ts'
import type { HttpRetries } from '../policies/retry/retries.ts'
import { durationField, encode, milliseconds, once, resourceOf } from './encode.ts'
import type { XdsResource } from './table.ts'

/** What a host without any route answers: the text that Kuma's gateways give, and people look for. */
const noRoutes = 'This is a Kuma MeshGateway. No routes match this MeshGateway!\n'
const tagsHeaderName = 'x-kuma-tags'

/** A route table of its own name. */
export const emitRouteTable = once(
  (model: RouteTableModel): XdsResource =>
    resourceOf(model.name, routeTableBytes(model), {
      clusters: clustersOf(model),
      ...(model.contributions ? { contributions: model.contributions } : {}),
    }),
)

/** The names of all clusters in a route table, sorted. */
export const clustersOf = ({ hosts }: RouteTableModel): readonly string[] =>
  [...new Set(hosts.flatMap(clustersOfHost))].sort()

const clustersOfHost = once((host: VirtualHostModel): readonly string[] => [
  ...new Set(host.routes.flatMap((route) => route.clusters.map((one) => one.name))),
])

/**
 * A route table is put together from the bytes of its hosts, and a host from the bytes of its routes, so that one changed
 * route among thousands costs one encoding. Repeated fields may be appended to a message: it is read as one.
 */
export const routeTableBytes = once((model: RouteTableModel): Uint8Array => {
  const head = encode(RouteConfigurationSchema, {
    name: model.name,
    validateClusters: false,
    ignorePortInHostMatching: model.ignorePort,
    requestHeadersToRemove: model.removeTagsHeader ? [tagsHeaderName] : [],
  })
  return joined([head, ...model.hosts.map(hostMember)])
})

const hostMember = once((model: VirtualHostModel): Uint8Array => {
  const head = encode(VirtualHostSchema, {
    name: model.name,
    domains: [...model.domains],
    ...(model.requireTls ? overTls() : {}),
  })
  const routes = model.routes.length > 0 ? model.routes.map(routeMember) : [routeMemberOf(fallback())]
  return memberOf(RouteConfigurationSchema.field.virtualHosts.number, joined([head, ...routes]))
})

const overTls = () => ({
  requireTls: VirtualHost_TlsRequirementType.ALL,
  responseHeadersToAdd: [
    appended(
      { name: 'Strict-Transport-Security', value: 'max-age=31536000; includeSubDomains' },
      HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    ),
  ],
})

/** One member of a repeated field: tag, length and bytes. */
export function memberOf(field: number, member: Uint8Array): Uint8Array {
  const prefix = new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(member.length).finish()
  return joined([prefix, member])
}

/** A message with more members behind it. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let end = 0
  for (const part of parts) {
    bytes.set(part, end)
    end += part.length
  }
  return bytes
}

const routeMemberOf = (route: Uint8Array): Uint8Array => memberOf(VirtualHostSchema.field.routes.number, route)

const fallback = (): Uint8Array =>
  encode(RouteSchema, {
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: {
      case: 'directResponse',
      value: { status: 404, body: { specifier: { case: 'inlineString', value: noRoutes } } },
    },
  })

const routeMember = once(
  (model: RouteModel): Uint8Array =>
    routeMemberOf(
      encode(RouteSchema, {
        match: {
          pathSpecifier: pathOf(model.path),
          headers: [...(model.method ? [{ name: ':method', value: model.method }] : []), ...model.headers].map(
            ({ name, value }) => ({
              name,
              headerMatchSpecifier: { case: 'stringMatch' as const, value: exactly(value) },
            }),
          ),
          queryParameters: model.queries.map(({ name, value }) => ({
            name,
            queryParameterMatchSpecifier: { case: 'stringMatch' as const, value: exactly(value) },
          })),
        },
        requestHeadersToAdd: [
          ...model.setHeaders.map((header) =>
            appended(header, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
          ),
          ...model.addHeaders.map((header) =>
            appended(header, HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD),
          ),
        ],
        requestHeadersToRemove: [...model.removeHeaders],
        action: {
          case: 'route',
          value: {
            clusterSpecifier: targetOf(model),
            ...(model.weighted
              ? { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR }
              : {}),
            ...durationField('timeout', model.requestMs),
            ...durationField('idleTimeout', model.idleMs),
            ...(model.retries ? { retryPolicy: retryPolicy(model.retries) } : {}),
            ...(model.host === undefined
              ? {}
              : { hostRewriteSpecifier: { case: 'hostRewriteLiteral' as const, value: model.host } }),
          },
        },
      }),
    ),
)

/** Throws if a route cannot be encoded. What it encodes is used when the route is emitted. */
export const proveRoute = (route: RouteModel): unknown => routeMember(route)

const exactly = (value: string) => ({ matchPattern: { case: 'exact' as const, value } })

function pathOf({ type, path }: PathMatch) {
  switch (type) {
    case 'exact':
      return { case: 'path' as const, value: path }
    case 'prefix':
      return { case: 'prefix' as const, value: path }
    case 'regex':
      return { case: 'safeRegex' as const, value: { regex: path } }
  }
}

const appended = (header: HeaderValue, appendAction: HeaderValueOption_HeaderAppendAction) => ({
  header: { key: header.name, value: header.value },
  appendAction,
})

function targetOf({ clusters, weighted, tagsHeader }: RouteModel) {
  if (!weighted) return { case: 'cluster' as const, value: clusters[0]?.name ?? '' }
  const headers =
    tagsHeader === undefined ? {} : { requestHeadersToAdd: [{ header: { key: tagsHeaderName, value: tagsHeader } }] }
  return {
    case: 'weightedClusters' as const,
    value: { clusters: clusters.map(({ name, weight }) => ({ name, weight, ...headers })) },
  }
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
