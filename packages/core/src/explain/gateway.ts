import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { inZone } from '../edge/meshes.ts'
import { typeUrls } from '../emit/table.ts'
import { displayName, serviceTag, type Tags } from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole, dataplaneServices } from '../kinds/dataplane-spec.ts'
import type { TypedRow } from '../kinds/kind.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import { type GatewayListener, listenerHostname, type MeshGatewaySpec } from '../kinds/mesh-gateway-spec.ts'
import { bestMatch, compareRank } from '../kinds/tags.ts'
import { hostnameContains, specificity } from '../match/hostnames.ts'
import type { EndpointModel, ListenerModel } from '../model/model.ts'
import type { CompiledZone } from './compiled-zone.ts'
import type { Request } from './request.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'
import type { Way } from './way.ts'

export interface Entrance {
  readonly proxy: TypedRow<DataplaneSpec>
  readonly gateway: TypedRow<MeshGatewaySpec>
  readonly tags: Tags
  readonly listener: ListenerModel
  /** The listener of the MeshGateway that answers for the host, and its tags merged with those above it. */
  readonly said: GatewayListener
  readonly listenerTags: Tags
}

const list = (names: readonly string[]): string => [...new Set(names)].sort().join(', ') || 'none'

/** A request that comes to a gateway from outside of the mesh. */
export function fromOutside(walk: Walk, zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): void {
  const { networking } = proxy.spec
  walk.pass(
    'name',
    `${request.host} is no name of the mesh: outside of it, it has to lead to ${networking?.address}, where ${called(proxy)} of zone ${zone.name} listens`,
    zone.name,
    [],
  )
  const gateway = findGateway(zone, proxy, inZone(networking?.gateway?.tags ?? {}, zone.name))
  const listeners = gateway.spec.conf?.listeners ?? []
  if (listeners.some((one) => one.port === request.port && one.crossMesh))
    stop(
      'listener',
      `the listener of ${called(gateway)} on port ${request.port} is for proxies of other meshes: it closes connections without a certificate of one`,
      'ask from a sidecar or a gateway of a mesh: --from ZONE/PROXY; or take crossMesh off the listener',
      [gateway],
    )
}

/** The gateway of another mesh that is at an address. */
export function atGateway(
  zone: CompiledZone,
  way: Pick<Way, 'mesh' | 'tags'>,
  at: EndpointModel,
): TypedRow<DataplaneSpec> {
  const service = way.tags[serviceTag]
  const found = zone.rows(dataplane).find((row) => {
    const { networking } = row.spec
    const address = networking?.advertisedAddress ?? networking?.address
    const isIts = row.key.origin === zone.name && row.key.mesh === way.mesh && address === at.address
    return isIts && isBuiltin(row) && networking?.gateway?.tags?.[serviceTag] === service
  })
  if (found) return found
  return stop(
    'gateway',
    `no gateway ${service} of mesh ${way.mesh} is at ${at.address} in zone ${zone.name} any more`,
    'the instance is gone and the news is on its way: look at `zonemesh status`',
  )
}

/** From a gateway to the listener that a request meets. */
export function enter(walk: Walk, zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, request: Request): Entrance {
  const tags = inZone(proxy.spec.networking?.gateway?.tags ?? {}, zone.name)
  const gateway = findGateway(zone, proxy, tags)
  walk.pass('gateway', `${called(gateway)} serves ${called(proxy)}`, zone.name, [proxy, gateway])
  return { proxy, gateway, tags, ...findListener(walk, zone, proxy, gateway, tags, request) }
}

/** Whether a proxy has the listeners of a MeshGateway; else it has outbounds. */
export const isBuiltin = ({ spec }: TypedRow<DataplaneSpec>): boolean => dataplaneRole(spec) === 'builtin'

/** The proxy of a zone with this name or service; gateways before others. */
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
    `zone ${zone.name} has no gateway "${wanted}": neither a Dataplane of that name nor one with that service`,
    `start one with networking.gateway.type BUILTIN; zone ${zone.name} has: ${list(proxies.map((row) => `${displayName(row)} (${serviceOf(row)})`))}`,
  )
}

function findGateway(zone: CompiledZone, proxy: TypedRow<DataplaneSpec>, tags: Tags): TypedRow<MeshGatewaySpec> {
  const rows = zone.rows(meshGateway).filter((row) => row.key.mesh === proxy.key.mesh)
  const ranked = rows.flatMap((row) => {
    const rank = bestMatch(row.spec.selectors, tags)
    return rank ? [{ row, rank }] : []
  })
  const [best] = ranked.sort((a, b) => compareRank(b.rank, a.rank) || b.row.stamp.createdAtMs - a.row.stamp.createdAtMs)
  if (best) return best.row
  const wanted = rows.flatMap((row) => row.spec.selectors.map(({ match = {} }) => `${called(row)}: ${tagsOf(match)}`))
  stop(
    'gateway',
    `no MeshGateway of mesh ${proxy.key.mesh} selects ${called(proxy)}, whose tags are ${tagsOf(tags)}`,
    `give a MeshGateway a selector that these tags satisfy; there are: ${list(wanted)}`,
    [proxy],
  )
}

function findListener(
  walk: Walk,
  zone: CompiledZone,
  proxy: TypedRow<DataplaneSpec>,
  gateway: TypedRow<MeshGatewaySpec>,
  own: Tags,
  request: Request,
) {
  const spec = gateway.spec
  const listeners = spec.conf?.listeners ?? []
  const onPort = listeners.filter((one) => one.port === request.port)
  const at = `port ${request.port}`
  if (onPort.length === 0)
    stop(
      'listener',
      `${called(gateway)} has no listener on ${at}`,
      `ask one of its ports, or add a listener; it has: ${list(listeners.map((one) => `${one.protocol} ${one.port}`))}`,
      [gateway],
    )
  const isTls = request.scheme === 'https' || request.scheme === 'tls'
  const protocol = onPort[0]?.protocol ?? ''
  const expected = { http: ['HTTP'], https: ['HTTPS'], tcp: ['TCP'], tls: ['TLS'] }[request.scheme]
  if (!expected.includes(protocol))
    stop(
      'listener',
      `the listener of ${called(gateway)} on ${at} speaks ${protocol}, and the URL has ${request.scheme}`,
      `ask ${protocol.toLowerCase()}://${request.host}:${request.port}, or change the protocol of the listener`,
      [gateway],
    )
  const serving = onPort
    .filter((one) => protocol === 'TCP' || hostnameContains(listenerHostname(one), request.host))
    .sort((a, b) => specificity(listenerHostname(b)) - specificity(listenerHostname(a)))
  const said = serving[0]
  if (!said)
    stop(
      'listener',
      `no listener of ${called(gateway)} on ${at} answers for ${request.host}`,
      `its hostnames there are: ${list(onPort.map(listenerHostname))}; ${isTls ? 'the connection is closed' : 'the answer is 404'}`,
      [gateway],
    )
  const compiled = zone.look(proxy)
  const { model, problems } = compiled
  const listener = model?.listeners.find((one) => one.port === request.port)
  const mine = problems.filter(
    ({ source, reason }) => source === keyText(gateway.key) && reason.includes(String(request.port)),
  )
  if (!listener)
    stop(
      'listener',
      `zone ${zone.name} leaves the listener on ${at} out: ${list(mine.map((one) => one.reason))}`,
      'mend what is named there',
      [gateway],
    )
  const running = walk.compareRunning('listener', compiled, typeUrls.listener, listener.name, [gateway])
  walk.pass(
    'listener',
    `${listener.name} on ${listener.address} answers for "${listenerHostname(said)}"`,
    zone.name,
    [gateway],
    [running, ...mine.map((one) => `left out: ${one.reason}`)],
  )
  return { listener, said, listenerTags: { ...own, ...spec.tags, ...said.tags } }
}
