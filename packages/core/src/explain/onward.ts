import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { type Tags, zoneTag } from '../kinds/common.ts'
import type { DataplaneSpec } from '../kinds/dataplane-spec.ts'
import type { TypedRow } from '../kinds/kind.ts'
import type { EndpointModel } from '../model/model.ts'
import { checkListenerCertificate, checkMeshCertificates } from './certificates.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { atGateway, enter, gatewayTags } from './gateway.ts'
import { type Request, rewritten } from './request.ts'
import { type Found, findRoute } from './route.ts'
import { arrive, askPermission } from './service.ts'
import type { Sources } from './sources.ts'
import { called, stop, tagsOf, type Walk } from './walk.ts'
import { crossOver, findEndpoints, leave, type Way } from './way.ts'

/** One walk, and the gateways it has passed. */
export interface Journey {
  readonly walk: Walk
  readonly sources: Sources
  zoneOf(name: string): CompiledZone | undefined
  readonly passed: Set<string>
}

/** A proxy that forwards a request, and its zone. */
export interface Sender {
  readonly zone: CompiledZone
  readonly proxy: TypedRow<DataplaneSpec>
}

/** Follows a request through the listener and route of a gateway, and on from there. */
export function throughGateway(
  journey: Journey,
  zone: CompiledZone,
  proxy: TypedRow<DataplaneSpec>,
  request: Request,
): void {
  const { walk, sources, passed } = journey
  const entrance = enter(walk, zone, proxy, request)
  const { gateway, listener } = entrance
  const at = `${keyText(proxy.key)} ${listener.name} ${request.host}${request.path}`
  if (passed.has(at))
    stop(
      'gateway',
      `the routes form a circle: the same request passed ${called(gateway)} before`,
      'change one of these routes, so that it leads to a service',
      [gateway],
    )
  passed.add(at)
  checkListenerCertificate(walk, sources, zone, entrance, request)
  goOn(journey, { zone, proxy }, request, {
    ...findRoute(walk, zone, entrance, request),
    tags: gatewayTags(zone, proxy),
  })
}

/** Follows a request from the destinations of a route or outbound to all instances. */
export function goOn(journey: Journey, sender: Sender, request: Request, found: Found & { readonly tags: Tags }): void {
  const { walk } = journey
  const { zone, proxy } = sender
  const names = found.rows.map(called).join(' and ')
  if (found.redirect !== undefined) {
    walk.pass(
      'backend',
      `${names} answers with a redirect (${found.redirect}); no backend gets the request`,
      zone.name,
      found.rows,
    )
    return
  }
  const { model } = zone.look(proxy)
  const total = found.backends.reduce((sum, one) => sum + one.weight, 0)
  for (const { cluster: name, weight } of found.backends) {
    if (weight === 0) continue
    const cluster = model?.clusters.find((one) => one.name === name)
    const tags = cluster?.destination
    if (!cluster || !tags)
      stop(
        'backend',
        `${names} leads to ${name}, which is not a service: the answer is 500`,
        'name a service in its backends',
        found.rows,
      )
    walk.pass(
      'backend',
      `${((weight / total) * 100).toFixed(0)} % of the traffic goes to ${tagsOf(tags)}`,
      zone.name,
      found.rows,
    )
    const way = findEndpoints(walk, zone, proxy, cluster, tags, found.rows)
    const sent = found.route ? rewritten(request, found.route) : request
    for (const endpoint of way.endpoints) toEndpoint(journey, sender, sent, found.tags, way, endpoint)
  }
}

/**
 * Follows a request to one endpoint: to the instance itself, or through the egress or ingress to the instances behind
 * it.
 */
function toEndpoint(
  journey: Journey,
  { zone, proxy }: Sender,
  request: Request,
  client: Tags,
  way: Way,
  endpoint: EndpointModel,
): void {
  const { walk, sources } = journey
  if (endpoint.through === 'egress') {
    for (const next of leave(walk, zone, way, endpoint))
      toEndpoint(journey, { zone, proxy }, request, client, way, next)
    return
  }
  const there = journey.zoneOf(endpoint.zone)
  if (!there) {
    walk.pass('ingress', `what happens in zone ${endpoint.zone} is not known: the zone gave no answer`, zone.name, [])
    return
  }
  const instances = endpoint.zone === zone.name ? [endpoint] : crossOver(walk, zone, there, way, endpoint)
  for (const instance of instances) {
    if (way.isCrossMesh) {
      const next = atGateway(there, way, instance)
      checkMeshCertificates(walk, sources, { zone, proxy }, { zone: there, proxy: next })
      throughGateway(journey, there, next, { ...request, scheme: 'http', port: instance.port })
      continue
    }
    const arrived = arrive(walk, zone, there, way, instance)
    askPermission(walk, zone, there, { ...client, [zoneTag]: zone.name }, arrived)
    checkMeshCertificates(walk, sources, { zone, proxy }, { zone: there, proxy: arrived.row })
  }
}
