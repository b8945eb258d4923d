import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  RouteSchema,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.js'
import type { ForwardAction, HeaderMatch, RouteModel, RouteTableModel, VirtualHostModel } from '../model/model.ts'
import { appended, forwardRoute, redirectRoute, tagsHeaderName } from './actions.ts'
import { encode, once, resourceOf } from './encode.ts'
import type { XdsResource } from './table.ts'

/** The response of a host without routes. It is the text of Kuma's gateways, which users search for. */
const noRoutes = 'This is a Kuma MeshGateway. No routes match this MeshGateway!\n'
const otherConnection = 'This host is served on connections that ask for it by name (SNI).\n'

/** A route table as a resource of its own. */
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
  ...new Set(host.routes.flatMap(({ action }) => (action.type === 'forward' ? clustersOfAction(action) : []))),
])

const clustersOfAction = ({ clusters, mirrors = [] }: ForwardAction): readonly string[] => [
  ...clusters.map((one) => one.name),
  ...mirrors.map((one) => one.cluster),
]

/**
 * A route table is assembled from the bytes of its hosts, and a host from the bytes of its routes, so that one changed
 * route among thousands costs one encoding. Protobuf allows this: members of repeated fields may be appended to a
 * message.
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
  const routes = model.routes.length > 0 ? model.routes.map(routeMember) : [routeMemberOf(fallback(model))]
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

/** Concatenates a message and further members. */
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

const fallback = ({ misdirected }: VirtualHostModel): Uint8Array =>
  encode(RouteSchema, {
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: {
      case: 'directResponse',
      value: {
        status: misdirected ? 421 : 404,
        body: { specifier: { case: 'inlineString', value: misdirected ? otherConnection : noRoutes } },
      },
    },
  })

/** The members of one route of the model: one, except for redirects with an implied port. */
const routeMember = once((model: RouteModel): Uint8Array => {
  const { action } = model
  if (action.type === 'forward') return routeMemberOf(forwardRoute(model, action))
  const { port, ...rest } = action
  if (!port?.isImplied) return routeMemberOf(redirectRoute(model, rest, port?.number))
  // Without a port in the redirect, Envoy keeps the port of the request; with one, Envoy always writes it. So a
  // redirect to an implied port needs one route for requests with a port and one for requests without.
  const withPort: RouteModel = { ...model, headers: [...model.headers, hostWithPort] }
  return joined([
    routeMemberOf(redirectRoute(withPort, rest, port.number)),
    routeMemberOf(redirectRoute(model, rest, undefined)),
  ])
})

const hostWithPort: HeaderMatch = { name: ':authority', type: 'regex', value: '.*:[0-9]+' }

/** Throws if a route cannot be encoded. The encoded bytes are reused when the route is emitted. */
export const proveRoute = (route: RouteModel): unknown => routeMember(route)
