import { hasAll } from '../edge/endpoints.ts'
import { sniOf } from '../edge/sni.ts'
import { typeUrls } from '../emit/table.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { placeOf } from '../kinds/cross-mesh.ts'
import { meshName } from '../kinds/identities.ts'
import type { AnyRow } from '../kinds/kind.ts'
import { isZoneProxy } from '../kinds/proxies.ts'
import { zoneEgress } from '../kinds/zone-egress.ts'
import { zoneIngress } from '../kinds/zone-ingress.ts'
import type { ClusterModel, EndpointModel } from '../model/model.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { explainNoEndpoints } from './no-endpoints.ts'
import { called, stop, type Walk } from './walk.ts'

/** The destination of a request and its endpoints. */
export interface Way {
  /** The mesh of the instances. `tags` are the tags in that mesh. */
  readonly mesh: string
  readonly isCrossMesh: boolean
  readonly tags: Tags
  readonly cluster: ClusterModel
  readonly endpoints: readonly EndpointModel[]
}

/** The endpoints of a destination. Stops with the reason if there are none. */
export function findEndpoints(
  walk: Walk,
  zone: CompiledZone,
  proxy: AnyRow,
  cluster: ClusterModel,
  tags: Tags,
  routes: readonly AnyRow[],
): Way {
  const { home, homeTags, isCrossMesh } = placeOf(meshName(proxy.key.mesh), tags)
  const compiled = zone.look(proxy)
  const { model } = compiled
  const assignment = model?.assignments.find((one) => one.cluster === cluster.name)
  const { endpoints = [] } = assignment ?? {}
  if (endpoints.length === 0) explainNoEndpoints(zone, home, tags, routes)
  const running = [typeUrls.cluster, typeUrls.assignment].map((type) =>
    walk.compareRunning('endpoints', compiled, type, cluster.name, routes),
  )
  const where = endpoints.map(
    ({ address, port, zone: at, weight, through }) =>
      `${address}:${port}${through ? `, the ${through} of` : ' in'} ${at} (weight ${weight})`,
  )
  walk.pass(
    'endpoints',
    `${tags[serviceTag]}${isCrossMesh ? ` of mesh ${home}` : ''} is at ${where.join(', ')}`,
    zone.name,
    // Zone proxies get their own steps.
    zone.rowsOf(assignment?.because ?? []).filter(({ key }) => !isZoneProxy(key.kind)),
    running,
  )
  return { mesh: home, isCrossMesh, tags: homeTags, cluster, endpoints }
}

/** Follows a connection through the ingress of another zone, by its SNI. Returns the instances there. */
export function crossOver(
  walk: Walk,
  here: CompiledZone,
  there: CompiledZone,
  way: Way,
  endpoint: EndpointModel,
): readonly EndpointModel[] {
  const ingress = there.rowsOf(endpoint.because, zoneIngress).find(({ spec: { networking } }) => {
    return networking?.advertisedAddress === endpoint.address && networking.advertisedPort === endpoint.port
  })
  if (!ingress)
    stop(
      'ingress',
      `zone ${here.name} sends the request to ${endpoint.address}:${endpoint.port}, where zone ${there.name} has no ingress`,
      `zone ${here.name} is behind: look at \`zonemesh status\``,
    )
  return leadOn(walk, 'ingress', here, there, ingress, way, endpoint)
}

/** Follows a connection through an egress of the own zone. Returns the ingresses of other zones. */
export function leave(walk: Walk, zone: CompiledZone, way: Way, endpoint: EndpointModel): readonly EndpointModel[] {
  const [egress] = zone.rowsOf(endpoint.because, zoneEgress)
  if (egress) return leadOn(walk, 'egress', zone, zone, egress, way, endpoint)
  return stop(
    'egress',
    `no ZoneEgress of zone ${zone.name} is at ${endpoint.address}:${endpoint.port} any more`,
    'it was removed, and this change has not arrived yet: look at `zonemesh status`',
  )
}

/** Follows a connection through a zone proxy, by its SNI. Returns the endpoints. */
function leadOn(
  walk: Walk,
  step: 'ingress' | 'egress',
  here: CompiledZone,
  there: CompiledZone,
  proxy: AnyRow,
  way: Way,
  at: EndpointModel,
): readonly EndpointModel[] {
  const sni = sniOf(way.mesh, way.tags)
  const compiled = there.look(proxy)
  const { model } = compiled
  const listener = model?.listeners[0]
  const chain = listener?.chains.find((one) =>
    one.match?.serverNames?.some((name) => name.toLowerCase() === sni.toLowerCase()),
  )
  const who = `${called(proxy)} of zone ${there.name}`
  if (!listener || !chain || chain.content.type !== 'tcp')
    stop(
      step,
      `${who} has no filter chain for ${sni}`,
      `zone ${there.name} has no ready instance with these tags, or has not received the route yet: look at \`zonemesh status\``,
      [proxy],
    )
  const { cluster, subset = {} } = chain.content
  const found = (model?.assignments.find((one) => one.cluster === cluster)?.endpoints ?? []).filter((one) =>
    hasAll(one.tags, subset),
  )
  if (found.length === 0)
    stop(step, `${who} has no endpoint for ${sni}`, 'check the instances: they are gone or not ready', [proxy])
  const running = walk.compareRunning(step, compiled, typeUrls.listener, listener.name, [proxy])
  walk.pass(
    step,
    `${who} at ${at.address}:${at.port} leads ${sni} to ${found.map((one) => `${one.address}:${one.port}`).join(', ')}`,
    here.name,
    [proxy],
    [running],
  )
  return found
}
