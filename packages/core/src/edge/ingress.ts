import { byCodeUnit, shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { AssignmentModel, ChainModel, ClusterModel, ProxyModel } from '../compile/model.ts'
import { isIp, protocolTag, serviceTag, type Tags } from '../kinds/common.ts'
import type { ZoneIngressSpec } from '../kinds/zone-ingress.ts'
import { parseTags, tagsText } from '../match/tags.ts'
import { ranges } from '../view/indexes.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { isLoopback, statName } from './addresses.ts'
import type { Endpoints } from './endpoints.ts'
import { sniOf } from './sni.ts'

const chainsMax = 64

interface ServedService {
  readonly chains: readonly { readonly sni: string; readonly chain: ChainModel }[]
  readonly clusters: readonly ClusterModel[]
  readonly assignments: readonly AssignmentModel[]
}

/**
 * Zone ingresses: TLS is not ended here, a connection is led by its SNI to the instances that have the tags in it. To be
 * ready for routes that other zones make, every pair of tags has a chain, not only what is asked for today.
 */
export function createIngresses(units: Units, view: View, endpoints: Endpoints) {
  const tagSets = (mesh: string, service: string, whole: readonly Tags[]): readonly string[] => {
    const texts = new Set<string>([tagsText({ [serviceTag]: service })])
    // Counted before they are made: the pairs of a thousand tags are half a million.
    const isFew = whole.every((tags) => Object.keys(tags).length ** 2 <= 4 * chainsMax)
    const parts = new Set(isFew ? whole.flatMap((tags) => subsets(tags)).map(tagsText) : [])
    if (parts.size <= chainsMax) for (const text of parts) texts.add(text)
    for (const tags of whole) texts.add(tagsText(tags))
    for (const text of view.range(ranges.demanded(mesh, service))) texts.add(text)
    return [...texts].sort()
  }

  const served = units.family('ingress service', (mesh: string, service: string): ServedService => {
    const name = `${mesh}:${service}`
    const sets = tagSets(mesh, service, endpoints.ownTagSets(mesh, service)).map(parseTags)
    const keySets = new Map<string, readonly string[]>()
    for (const tags of sets) {
      const keys = Object.keys(tags)
        .filter((key) => key !== serviceTag)
        .sort()
      if (keys.length > 0) keySets.set(keys.join(), keys)
    }
    return {
      chains: sets.map((tags) => {
        const { [serviceTag]: _service, ...subset } = tags
        return chainOf(sniOf(mesh, tags), name, subset)
      }),
      clusters: [
        {
          ...clusterOf(name),
          ...(keySets.size > 0
            ? { subsetKeys: [...keySets].sort(([a], [b]) => byCodeUnit(a, b)).map(([, keys]) => keys) }
            : {}),
        },
      ],
      assignments: [endpoints.ownAssignment(name, mesh, service)],
    }
  })

  /**
   * Listeners of a gateway that other meshes may call. Hosts of one port are one address with several sets of tags, which
   * no subset can tell apart, so here each set has a cluster of its own.
   */
  const crossMesh = units.family('ingress gateway', (mesh: string, service: string): ServedService => {
    const sets = tagSets(mesh, service, endpoints.ownCrossMeshTagSets(mesh, service))
    const named = sets.map((text) => {
      const isBare = Object.keys(parseTags(text)).length === 1
      return { text, name: isBare ? `${mesh}:${service}` : `${mesh}:${service}-${shortHash(text)}` }
    })
    return {
      chains: named.map(({ text, name }) => chainOf(sniOf(mesh, parseTags(text)), name, {})),
      clusters: named.map(({ name }) => clusterOf(name)),
      assignments: named.map(({ text, name }) => endpoints.ownCrossMeshAssignment(name, mesh, text)),
    }
  })

  const all = units.family('ingress services', (): readonly ServedService[] =>
    view.range(ranges.ownMeshes).flatMap((mesh) => {
      const services = view
        .range(ranges.ownServices(mesh))
        // A row that is in the index but cannot be reached is no reason for a chain.
        .filter((service) => endpoints.ownTagSets(mesh, service).length > 0)
      const gateways = view
        .range(ranges.ownGateways(mesh))
        .filter((service) => endpoints.ownCrossMeshTagSets(mesh, service).length > 0)
      // Clients ask for both by the same name.
      for (const both of gateways.filter((service) => services.includes(service)))
        units.problem(`${mesh}/${both}`, 'is a service and a gateway; through ingresses only the service is reached')
      return [
        ...services.map((service) => served(mesh, service)),
        ...gateways.filter((one) => !services.includes(one)).map((service) => crossMesh(mesh, service)),
      ]
    }),
  )

  const chains = units.family('ingress chains', (): readonly ChainModel[] => {
    // Envoy compares names in lower case and refuses a listener with two equal chains.
    const chainBySni = new Map<string, { readonly sni: string; readonly chain: ChainModel }>()
    for (const one of all().flatMap((service) => service.chains)) {
      const sni = one.sni.toLowerCase()
      const first = chainBySni.get(sni)
      if (!first) chainBySni.set(sni, one)
      else if (first.sni !== one.sni)
        units.problem(`sni/${one.sni}`, `differs from ${first.sni} in letter case only; the first is served`)
    }
    return [...chainBySni].sort(([a], [b]) => byCodeUnit(a, b)).map(([, { chain }]) => chain)
  })

  return units.family('ingress', (proxy: string): ProxyModel | undefined => {
    const row = view.row(proxy)
    if (!row) return undefined
    const source = keyText(row.key)
    const listener = units.attempt(source, () => {
      // Admission stored what the schema returned.
      const { address = '', port } = (row.spec as ZoneIngressSpec).networking ?? {}
      if (!isIp(address)) throw new Error(`networking.address: expected an IP address, found "${address}"`)
      if (!port) throw new Error('networking.port: expected a port')
      const found = chains()
      return {
        name: `inbound:${address}:${port}`,
        address,
        port,
        direction: 'inbound' as const,
        reusePort: !isLoopback(address),
        inspectTls: true,
        chains:
          found.length > 0
            ? found
            : [
                {
                  content: { type: 'answer' as const, text: JSON.stringify({ proxy: row.key.name, zone: view.zone }) },
                },
              ],
      }
    })
    const services = listener ? all() : []
    return {
      clusters: services.flatMap((one) => one.clusters),
      assignments: services.flatMap((one) => one.assignments),
      listeners: listener ? [listener] : [],
      routeTables: [],
      runtimeLayer: false,
    }
  })
}

/** Every set of at most two of the tags, besides those that no route needs to name. */
function subsets(tags: Tags): Tags[] {
  const entries = Object.entries(tags).filter(([key]) => key !== serviceTag && key !== protocolTag)
  const service = { [serviceTag]: tags[serviceTag] ?? '' }
  return entries.flatMap(([key, value], index) => [
    { ...service, [key]: value },
    ...entries.slice(index + 1).map(([other, more]) => ({ ...service, [key]: value, [other]: more })),
  ])
}

const clusterOf = (name: string): ClusterModel => ({
  name,
  target: 'eds',
  connectMs: 5_000,
  breakers: 'none',
  statName: statName(name),
})

const chainOf = (sni: string, cluster: string, subset: Tags) => ({
  sni,
  chain: {
    match: { transport: 'tls' as const, serverNames: [sni] },
    content: {
      type: 'tcp' as const,
      statPrefix: statName(cluster),
      cluster,
      ...(Object.keys(subset).length > 0 ? { subset } : {}),
    },
  },
})
