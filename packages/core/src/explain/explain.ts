import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { meshTag, type Tags, zoneTag } from '../kinds/common.ts'
import { checkListenerCertificate, checkMeshCertificates } from './certificates.ts'
import { type CompiledZone, compileZone } from './compiled-zone.ts'
import { enter, findProxy, isBuiltin, tagsOf } from './gateway.ts'
import { call, isElsewhere } from './names.ts'
import type { Request } from './request.ts'
import { type Found, findRoute } from './route.ts'
import { arrive, askPermission } from './service.ts'
import type { Explanation, Sources } from './sources.ts'
import { called, createWalk, Stop, stop, type Walk } from './walk.ts'
import { crossOver, findEndpoints } from './way.ts'

/**
 * Walks the way of a request from a gateway to the service that answers it, with what each plane has, and stops at the first
 * thing that is not as it has to be. Nothing is asked here: `sources` is all there is.
 */
export function explain(
  request: Request,
  from: { readonly zone: string; readonly gateway: string },
  sources: Sources,
): Explanation {
  const walk = createWalk(sources)
  try {
    follow(walk, request, from, sources)
    return { steps: walk.steps, mismatch: undefined }
  } catch (thrown) {
    if (thrown instanceof Stop) return { steps: walk.steps, mismatch: thrown.mismatch }
    throw thrown
  }
}

function follow(
  walk: Walk,
  request: Request,
  from: { readonly zone: string; readonly gateway: string },
  sources: Sources,
): void {
  const sight = sources.zones.get(from.zone)
  if (!sight)
    stop(
      'gateway',
      `zone ${from.zone} could not be asked`,
      `name its API; there are: ${[...sources.zones.keys()].sort().join(', ') || 'none'}`,
    )
  const compiled = new Map<string, CompiledZone>()
  const zoneOf = (name: string): CompiledZone | undefined => {
    const found =
      compiled.get(name) ?? (sources.zones.get(name) && compileZone(sources.zones.get(name) ?? sight, sources))
    if (found) compiled.set(name, found)
    return found
  }
  const zone = zoneOf(from.zone) ?? compileZone(sight, sources)
  const proxy = findProxy(zone, from.gateway)
  const found = isBuiltin(proxy)
    ? throughGateway(walk, sources, zone, proxy, request)
    : call(walk, zone, proxy, request)
  const names = found.rows.map(called).join(' and ')
  if (found.redirect !== undefined) {
    walk.pass(
      'backend',
      `${names} answers with a redirect (${found.redirect}); nobody else is asked`,
      zone.name,
      found.rows,
    )
    return
  }
  const { model } = zone.look(proxy)
  const total = found.backends.reduce((sum, one) => sum + one.weight, 0)
  for (const { cluster: name, weight, tags } of found.backends) {
    if (weight === 0) continue
    const cluster = model?.clusters.find((one) => one.name === name)
    if (!cluster)
      stop(
        'backend',
        `${names} leads to ${tagsOf(tags)}, which is no backend: the answer is 500`,
        'name a service in its backends',
        found.rows,
      )
    walk.pass('backend', `${((weight / total) * 100).toFixed(0)} % go to ${tagsOf(tags)}`, zone.name, found.rows)
    if (isElsewhere(tags, proxy.key.mesh)) {
      walk.pass('endpoints', `mesh ${tags[meshTag]} has a gateway for it: ask from there how it goes on`, zone.name, [])
      continue
    }
    const way = findEndpoints(walk, zone, proxy, cluster, tags, found.rows)
    for (const endpoint of way.endpoints) {
      const there = zoneOf(endpoint.zone)
      if (!there) {
        walk.pass('ingress', `what happens in zone ${endpoint.zone} is not known: it was not asked`, zone.name, [])
        continue
      }
      const instances = endpoint.zone === zone.name ? [endpoint] : crossOver(walk, zone, there, way, endpoint)
      for (const instance of instances) {
        const arrived = arrive(walk, zone, there, way, instance)
        askPermission(walk, zone, there, { ...found.tags, [zoneTag]: zone.name }, arrived)
        checkMeshCertificates(walk, sources, way.mesh, { zone, proxy }, { zone: there, proxy: arrived.row })
      }
    }
  }
}

/** Over the listener and the route that a MeshGateway and its routes make. */
function throughGateway(
  walk: Walk,
  sources: Sources,
  zone: CompiledZone,
  proxy: Row,
  request: Request,
): Found & { readonly tags: Tags } {
  const entrance = enter(walk, zone, proxy, request)
  checkListenerCertificate(walk, sources, zone, entrance, request)
  return { ...findRoute(walk, zone, entrance, request), tags: entrance.tags }
}
