import { meshTag, serviceTag } from '../kinds/common.ts'
import { ranges } from '../kinds/ranges.ts'
import { parseTags, tagsText } from '../kinds/tags.ts'
import { zoneEgress } from '../kinds/zone-egress.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import type { Endpoints } from './endpoints.ts'
import { createZoneProxy, type ServedService, servedApart } from './zone-proxy.ts'

/**
 * Zone egresses: what leaves the zone goes through them, by its SNI, to the ingresses of the zones that have what it asks for.
 * Who asks is in this zone, so the sets of tags are those of its own outbounds and of routes. All meshes are served, also
 * those that do not want it yet: when they do, the way is there already.
 */
export function createEgresses(units: Units, view: View, endpoints: Endpoints) {
  const tagSets = (mesh: string, service: string): readonly string[] =>
    [...new Set([tagsText({ [serviceTag]: service }), ...view.range(ranges.demanded(mesh, service))])].sort()

  /** `other` is the mesh of a gateway's listeners that other meshes may call: they are announced with it, and asked for without. */
  const served = units.family(
    'egress service',
    (mesh: string, service: string, other: string): ServedService =>
      servedApart(mesh, service, tagSets(mesh, service), (name, text) =>
        endpoints.remoteAssignment(
          name,
          mesh,
          other === '' ? text : tagsText({ ...parseTags(text), [meshTag]: other }),
        ),
      ),
  )

  const all = units.family('egress services', (): readonly ServedService[] =>
    view.range(ranges.remoteMeshes).flatMap((mesh) => {
      const services = view.range(ranges.remoteServices(mesh))
      const gateways = view.range(ranges.remoteGateways(mesh)).filter((service) => !services.includes(service))
      return [
        ...services.map((service) => served(mesh, service, '')),
        ...gateways.map((service) => served(mesh, service, mesh)),
      ]
    }),
  )

  return createZoneProxy(units, view, 'egress', (proxy) => view.row(zoneEgress, proxy), all)
}
