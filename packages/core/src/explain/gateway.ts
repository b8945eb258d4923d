import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { inZone } from '../edge/meshes.ts'
import { typeUrls } from '../emit/table.ts'
import { displayName, serviceTag, type Tags } from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole, dataplaneServices } from '../kinds/dataplane-spec.ts'
import type { TypedRow } from '../kinds/kind.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import type { MeshGatewaySpec } from '../kinds/mesh-gateway-spec.ts'
import type {
  ChainModel,
  EndpointModel,
  ListenerModel,
  RouteTableModel,
  ServedListener,
  VirtualHostModel,
} from '../model/model.ts'
import type { CompiledProxy, CompiledZone } from './compiled-zone.ts'
import { chainFor, hostFor } from './first-route.ts'
import type { Request } from './request.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'
import type { Way } from './way.ts'

/** The entrance of a request: parts of a gateway's model. */
export interface Entrance {
  readonly proxy: TypedRow<DataplaneSpec>
  readonly gateway: TypedRow<MeshGatewaySpec>
  readonly compiled: CompiledProxy
  readonly listener: ListenerModel
  readonly chain: ChainModel
  /** Only for HTTP. */
  readonly table?: RouteTableModel
  readonly host?: VirtualHostModel
  /** The listener of the MeshGateway that serves the host. */
  readonly served: ServedListener
}

const list = (names: readonly string[]): string => [...new Set(names)].sort().join(', ') || 'none'

/** The first step of a request that reaches a gateway from outside the mesh. */
export function fromOutside(walk: Walk, zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): void {
  const { networking } = proxy.spec
  walk.pass(
    'name',
    `${request.host} is not a name of the mesh: the DNS of the client must lead to ${networking?.address}, where ${called(proxy)} of zone ${zone.name} listens`,
    zone.name,
    [],
  )
  const gateway = gatewayOf(zone, proxy)
  const listener = listenerOn(zone.look(proxy), request.port)
  if (listener?.chains.some(({ anyMesh }) => anyMesh))
    stop(
      'listener',
      `the listener of ${called(gateway)} on port ${request.port} is for proxies of other meshes: it closes connections without a certificate of one`,
      'start at a proxy of another mesh with --from ZONE/PROXY, or remove crossMesh from the listener',
      [gateway],
    )
}

/** The gateway of another mesh that an endpoint leads to. */
export function atGateway(
  zone: CompiledZone,
  way: Pick<Way, 'mesh' | 'tags'>,
  at: EndpointModel,
): TypedRow<DataplaneSpec> {
  const [found] = zone.rowsOf(at.because, dataplane)
  if (found) return found
  return stop(
    'gateway',
    `no gateway ${way.tags[serviceTag]} of mesh ${way.mesh} is at ${at.address} in zone ${zone.name} any more`,
    'the instance was removed, and this change has not arrived yet: look at `zonemesh status`',
  )
}

/** Finds the listener of a gateway that a request reaches. */
export function enter(walk: Walk, zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): Entrance {
  const gateway = gatewayOf(zone, proxy)
  walk.pass('gateway', `${called(gateway)} serves ${called(proxy)}`, zone.name, [proxy, gateway])
  const compiled = zone.look(proxy)
  const leftOut = compiled.problems
    .filter(({ source, reason }) => source === keyText(gateway.key) && reason.includes(String(request.port)))
    .map(({ reason }) => reason)
  const listener = openListener(zone, compiled, gateway, request, leftOut)
  const met = meet(compiled, listener, gateway, request, leftOut)
  const running = walk.compareRunning('listener', compiled, typeUrls.listener, listener.name, [gateway])
  walk.pass(
    'listener',
    `${listener.name} on ${listener.address} answers for "${met.served.hostname}"`,
    zone.name,
    zone.rowsOf(listener.because),
    [running, ...leftOut.map((reason) => `left out: ${reason}`)],
  )
  return { proxy, gateway, compiled, listener, ...met }
}

/** Whether a proxy is a builtin gateway, with the listeners of a MeshGateway. Other proxies have outbounds. */
export const isBuiltin = ({ spec }: TypedRow<DataplaneSpec>): boolean => dataplaneRole(spec) === 'builtin'

/** The proxy of a zone with this name or service. Gateways take precedence. */
export function findProxy(zone: CompiledZone, wanted: string): TypedRow<DataplaneSpec> {
  const proxies = zone.rows(dataplane).filter((row) => row.key.origin === zone.name)
  const serviceOf = (row: TypedRow<DataplaneSpec>): string => dataplaneServices(row.spec)[0] ?? ''
  const gateways = proxies.filter(isBuiltin)
  const [found] = [...gateways, ...proxies]
    .filter((row) => [row.key.name, displayName(row), serviceOf(row)].includes(wanted))
    .sort((a, b) => Number(isBuiltin(b)) - Number(isBuiltin(a)) || byCodeUnit(keyText(a.key), keyText(b.key)))
  if (found) return found
  const fault = zone.unparsed.find(
    ({ row }) => row.key.kind === 'Dataplane' && row.key.origin === zone.name && row.key.name === wanted,
  )
  if (fault)
    stop(
      'gateway',
      `${called(fault.row)} of zone ${zone.name} cannot be parsed: ${fault.reason}`,
      'write it again; until then the zone serves it nothing',
      [fault.row],
    )
  stop(
    'gateway',
    `zone ${zone.name} has no gateway "${wanted}": no Dataplane has this name or this service`,
    `correct --from, or start a Dataplane with networking.gateway.type BUILTIN; zone ${zone.name} has: ${list(proxies.map((row) => `${displayName(row)} (${serviceOf(row)})`))}`,
  )
}

/** The tags of a builtin gateway, as in its certificate. */
export const gatewayTags = (zone: CompiledZone, { spec }: TypedRow<DataplaneSpec>): Tags =>
  inZone(spec.networking?.gateway?.tags ?? {}, zone.name)

/** The MeshGateway that serves a proxy. If there is none, stops and lists the MeshGateways of the mesh. */
function gatewayOf(zone: CompiledZone, proxy: TypedRow<DataplaneSpec>): TypedRow<MeshGatewaySpec> {
  const [gateway] = zone.rowsOf(zone.look(proxy).model?.because ?? [], meshGateway)
  if (gateway) return gateway
  const tags = gatewayTags(zone, proxy)
  const wanted = zone
    .rows(meshGateway)
    .filter((row) => row.key.mesh === proxy.key.mesh)
    .flatMap((row) => row.spec.selectors.map(({ match = {} }) => `${called(row)}: ${tagsOf(match)}`))
  stop(
    'gateway',
    `no MeshGateway of mesh ${proxy.key.mesh} selects ${called(proxy)}, whose tags are ${tagsOf(tags)}`,
    `give a MeshGateway a selector that has only tags of this Dataplane; the selectors are: ${list(wanted)}`,
    [proxy],
  )
}

const listenerOn = ({ model }: CompiledProxy, port: number): ListenerModel | undefined =>
  model?.listeners.find((one) => one.port === port)

/** The listener of a port. Stops if it does not use the protocol of the request. */
function openListener(
  zone: CompiledZone,
  compiled: CompiledProxy,
  gateway: TypedRow<MeshGatewaySpec>,
  request: Request,
  leftOut: readonly string[],
): ListenerModel {
  const at = `port ${request.port}`
  const listener = listenerOn(compiled, request.port)
  const wanted = gateway.spec.conf?.listeners ?? []
  if (!listener && !wanted.some(({ port }) => port === request.port))
    stop(
      'listener',
      `${called(gateway)} has no listener on ${at}`,
      `send the request to one of its ports, or add a listener; it has: ${list(wanted.map((one) => `${one.protocol} ${one.port}`))}`,
      [gateway],
    )
  if (!listener)
    stop(
      'listener',
      `zone ${zone.name} leaves out the listener on ${at}: ${list(leftOut)}`,
      'correct what this message names, and apply it again',
      [gateway],
    )
  const [protocol = ''] = listener.chains.map(protocolOf)
  if (protocol !== request.scheme.toUpperCase())
    stop(
      'listener',
      `the listener of ${called(gateway)} on ${at} speaks ${protocol}, and the URL has ${request.scheme}`,
      `send the request to ${protocol.toLowerCase()}://${request.host}:${request.port}, or change the protocol of the listener`,
      [gateway],
    )
  return listener
}

/** The protocol that clients of a chain use. On a cross-mesh chain the proxies use TLS, but requests are plain HTTP. */
export function protocolOf({ content, tls, match, anyMesh }: ChainModel): string {
  if (content.type === 'http') return tls && !anyMesh ? 'HTTPS' : 'HTTP'
  return match ? 'TLS' : 'TCP'
}

/**
 * The filter chain and the virtual host of a request. Stops if there is none: the connection is closed, or the response
 * is 404.
 */
function meet(
  { model }: CompiledProxy,
  { chains, serves = [] }: ListenerModel,
  gateway: TypedRow<MeshGatewaySpec>,
  request: Request,
  leftOut: readonly string[],
): Pick<Entrance, 'chain' | 'served'> & Partial<Entrance> {
  const chain = chainFor(chains, request.host)
  const routes = chain?.content.type === 'http' ? chain.content.routes : undefined
  const table = routes && ('rds' in routes ? model?.routeTables.find(({ name }) => name === routes.rds) : routes)
  const host = table && hostFor(table.hosts, request.host)
  const hostname = host?.listener ?? (chain?.match && (chain.match.serverNames?.[0] ?? '*'))
  const served = serves.find((one) => one.hostname === hostname) ?? (routes ? undefined : serves[0])
  if (chain && served && !host?.misdirected)
    return { chain, served, ...(table ? { table } : {}), ...(host ? { host } : {}) }
  const answer = host?.misdirected ? 'the answer is 421' : chain ? 'the answer is 404' : 'the connection is closed'
  stop(
    'listener',
    `no listener of ${called(gateway)} on port ${request.port} answers for ${request.host}: ${answer}${leftOut.length > 0 ? `; what is left out: ${list(leftOut)}` : ''}`,
    leftOut.length > 0
      ? 'correct what is left out, and apply it again'
      : `send the request to one of its hostnames, or add a listener for ${request.host}; its hostnames there are: ${list(serves.map((one) => one.hostname))}`,
    [gateway],
  )
}
