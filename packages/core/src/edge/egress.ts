import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { meshTag, serviceTag } from '../kinds/common.ts'
import { type MeshName, meshName, type ServiceName, serviceName } from '../kinds/identities.ts'
import { ranges } from '../kinds/ranges.ts'
import type { TagSet } from '../kinds/tags.ts'
import { zoneEgress } from '../kinds/zone-egress.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import type { Endpoints } from './endpoints.ts'
import { createZoneProxy, type ServedService, servedApart } from './zone-proxy.ts'

/**
 * Zone egresses forward connections that leave the zone, by SNI, to the ingresses of the zones that serve the requested
 * tags. Clients are in this zone, so the tag sets are those of its own outbounds and routes. All meshes are served,
 * including those that do not use the egress yet, so that the path exists when they start to use it.
 */
export function createEgresses(units: Units, view: View, endpoints: Endpoints) {
  const tagSets = (mesh: MeshName, service: ServiceName): readonly TagSet[] =>
    [...new Set([view.tagSet({ [serviceTag]: service }), ...view.tagSets(ranges.demanded(mesh, service))])].sort(
      (a, b) => byCodeUnit(a.text, b.text),
    )

  /** Cross-mesh listeners of gateways are announced with the mesh tag, but clients request them without it. */
  const served = units.family(
    'egress service',
    (mesh: MeshName, service: ServiceName, isCrossMesh: boolean): ServedService =>
      servedApart(mesh, service, tagSets(mesh, service), (name, wanted) =>
        endpoints.remoteAssignment(name, mesh, isCrossMesh ? view.tagSet({ ...wanted.tags, [meshTag]: mesh }) : wanted),
      ),
  )

  const all = units.family('egress services', (): readonly ServedService[] =>
    view
      .range(ranges.remoteMeshes)
      .map(meshName)
      .flatMap((mesh) => {
        const services = view.range(ranges.remoteServices(mesh)).map(serviceName)
        const gateways = view.range(ranges.remoteGateways(mesh)).map(serviceName)
        return [
          ...services.map((service) => served(mesh, service, false)),
          ...gateways.filter((one) => !services.includes(one)).map((service) => served(mesh, service, true)),
        ]
      }),
  )

  return createZoneProxy(units, view, 'egress', (proxy) => view.row(zoneEgress, proxy), all)
}
