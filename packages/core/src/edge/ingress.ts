import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { becauseOfAll } from '../kinds/because.ts'
import { protocolTag, serviceTag, type Tags } from '../kinds/common.ts'
import { type MeshName, meshName, type ServiceName, serviceName } from '../kinds/identities.ts'
import { ranges } from '../kinds/ranges.ts'
import type { TagSet } from '../kinds/tags.ts'
import { zoneIngress } from '../kinds/zone-ingress.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { type Endpoints, hasAll } from './endpoints.ts'
import { sniOf } from './sni.ts'
import { chainOf, clusterOf, createZoneProxy, type ServedService, servedApart } from './zone-proxy.ts'

const chainsMax = 64

/**
 * Zone ingresses do not terminate TLS. They forward a connection, by SNI, to the instances that have the tags in the
 * SNI. Every pair of tags has a chain, not only the requested ones, so that new routes in other zones work at once.
 */
export function createIngresses(units: Units, view: View, endpoints: Endpoints) {
  const served = units.family('ingress service', (mesh: MeshName, service: ServiceName): ServedService => {
    const name = `${mesh}:${service}`
    const sets = tagSetsOf(view, mesh, service, endpoints.ownTagSets(mesh, service)).map(({ tags }) => tags)
    const keySets = new Map<string, readonly string[]>()
    for (const tags of sets) {
      const keys = Object.keys(tags)
        .filter((key) => key !== serviceTag)
        .sort()
      if (keys.length > 0) keySets.set(keys.join(), keys)
    }
    const assignment = endpoints.ownAssignment(name, mesh, service)
    return {
      chains: sets.map((tags) => {
        const { [serviceTag]: _service, ...subset } = tags
        const meant = assignment.endpoints.filter((one) => hasAll(one.tags, subset))
        return chainOf(sniOf(mesh, tags), name, subset, becauseOfAll(meant))
      }),
      clusters: [
        {
          ...clusterOf(name, { [serviceTag]: service }, assignment.because),
          ...(keySets.size > 0
            ? { subsetKeys: [...keySets].sort(([a], [b]) => byCodeUnit(a, b)).map(([, keys]) => keys) }
            : {}),
        },
      ],
      assignments: [assignment],
    }
  })

  /**
   * Cross-mesh listeners of gateways. The hosts of one port share an address but have different tag sets, which a
   * subset cannot distinguish. So each tag set has its own cluster.
   */
  const crossMesh = units.family('ingress gateway', (mesh: MeshName, service: ServiceName): ServedService => {
    const sets = tagSetsOf(view, mesh, service, endpoints.ownCrossMeshTagSets(mesh, service))
    return servedApart(mesh, service, sets, (name, wanted) => endpoints.ownCrossMeshAssignment(name, mesh, wanted))
  })

  const all = units.family('ingress services', (): readonly ServedService[] =>
    view
      .range(ranges.ownMeshes)
      .map(meshName)
      .flatMap((mesh) => {
        const services = view
          .range(ranges.ownServices(mesh))
          .map(serviceName)
          // A row in the index may have no valid address. It needs no chain.
          .filter((service) => endpoints.ownTagSets(mesh, service).length > 0)
        const gateways = view
          .range(ranges.ownGateways(mesh))
          .map(serviceName)
          .filter((service) => endpoints.ownCrossMeshTagSets(mesh, service).length > 0)
        // Clients use the same name for both.
        for (const both of gateways.filter((service) => services.includes(service)))
          units.note(`${mesh}/${both}`, 'is a service and a gateway; through ingresses only the service is reached')
        return [
          ...services.map((service) => served(mesh, service)),
          ...gateways.filter((one) => !services.includes(one)).map((service) => crossMesh(mesh, service)),
        ]
      }),
  )

  return createZoneProxy(units, view, 'ingress', (proxy) => view.row(zoneIngress, proxy), all)
}

/** The tag sets of a service that get a chain: those that clients may request. */
function tagSetsOf(view: View, mesh: MeshName, service: ServiceName, whole: readonly Tags[]): readonly TagSet[] {
  // Counted before they are built: a thousand tags have half a million pairs.
  const isFew = whole.every((tags) => Object.keys(tags).length ** 2 <= 4 * chainsMax)
  const parts = new Set(isFew ? whole.flatMap(subsets).map(view.tagSet) : [])
  const sets = new Set([
    view.tagSet({ [serviceTag]: service }),
    ...(parts.size <= chainsMax ? parts : []),
    ...whole.map(view.tagSet),
    ...view.tagSets(ranges.demanded(mesh, service)),
  ])
  return [...sets].sort((a, b) => byCodeUnit(a.text, b.text))
}

/** All sets of one or two tags with the service. The protocol tag is omitted, because no route needs to name it. */
function subsets(tags: Tags): Tags[] {
  const entries = Object.entries(tags).filter(([key]) => key !== serviceTag && key !== protocolTag)
  const service = { [serviceTag]: tags[serviceTag] ?? '' }
  return entries.flatMap(([key, value], index) => [
    { ...service, [key]: value },
    ...entries.slice(index + 1).map(([other, more]) => ({ ...service, [key]: value, [other]: more })),
  ])
}
