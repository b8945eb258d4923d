import { byCodeUnit, shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Because } from '../kinds/because.ts'
import type { Tags } from '../kinds/common.ts'
import { expectIp } from '../kinds/expect.ts'
import type { MeshName, ServiceName } from '../kinds/identities.ts'
import type { TypedRow } from '../kinds/kind.ts'
import type { TagSet } from '../kinds/tags.ts'
import type { AssignmentModel, ChainModel, ClusterModel, ListenerModel, ProxyModel } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { isLoopback, statName } from './addresses.ts'
import { sniOf } from './sni.ts'

/** The configuration of one service in a zone proxy. */
export interface ServedService {
  readonly chains: readonly { readonly sni: string; readonly chain: ChainModel }[]
  readonly clusters: readonly ClusterModel[]
  readonly assignments: readonly AssignmentModel[]
}

interface Listens {
  readonly networking?: { readonly address?: string | undefined; readonly port?: number | undefined } | undefined
}

/**
 * Ingresses and egresses do not terminate TLS. They forward connections by the server name that the client sends (SNI).
 * `what` is the name prefix of the units, `read` reads the row of such a proxy.
 */
export function createZoneProxy(
  units: Units,
  view: View,
  what: string,
  read: (proxy: string) => TypedRow<Listens> | undefined,
  services: () => readonly ServedService[],
) {
  const chains = units.family(`${what} chains`, (): readonly ChainModel[] => {
    // Envoy compares names in lower case and refuses a listener with two equal chains.
    const chainBySni = new Map<string, { readonly sni: string; readonly chain: ChainModel }>()
    for (const one of services().flatMap((service) => service.chains)) {
      const sni = one.sni.toLowerCase()
      const first = chainBySni.get(sni)
      if (!first) chainBySni.set(sni, one)
      else if (first.sni !== one.sni)
        units.note(`sni/${one.sni}`, `differs from ${first.sni} in letter case only; the first is served`)
    }
    return [...chainBySni].sort(([a], [b]) => byCodeUnit(a, b)).map(([, { chain }]) => chain)
  })

  function listenerOf({ key, spec }: TypedRow<Listens>): ListenerModel {
    const { address = '', port } = spec.networking ?? {}
    expectIp('networking.address', address)
    if (!port) throw new Error('networking.port: expected a port')
    const found = chains()
    const because = [keyText(key)]
    const text = JSON.stringify({ proxy: key.name, zone: view.zone })
    const nothing = { content: { type: 'answer' as const, text }, because }
    return {
      because,
      name: `inbound:${address}:${port}`,
      address,
      port,
      direction: 'inbound',
      reusePort: !isLoopback(address),
      inspectTls: true,
      chains: found.length > 0 ? found : [nothing],
    }
  }

  return units.family(what, (proxy: string): ProxyModel | undefined => {
    const row = read(proxy)
    if (!row) return undefined
    const key = keyText(row.key)
    const listener = units.attempt(key, () => listenerOf(row))
    const served = listener ? services() : []
    return {
      because: [key],
      clusters: served.flatMap((one) => one.clusters),
      assignments: served.flatMap((one) => one.assignments),
      listeners: listener ? [listener] : [],
      routeTables: [],
      runtimeLayer: false,
    }
  })
}

/** Gives each tag set its own cluster. */
export function servedApart(
  mesh: MeshName,
  service: ServiceName,
  sets: readonly TagSet[],
  assignmentOf: (cluster: string, wanted: TagSet) => AssignmentModel,
): ServedService {
  const named = sets.map((wanted) => {
    const { tags, text } = wanted
    const isBare = Object.keys(tags).length === 1
    const name = isBare ? `${mesh}:${service}` : `${mesh}:${service}-${shortHash(text)}`
    return { tags, name, assignment: assignmentOf(name, wanted) }
  })
  return {
    chains: named.map(({ tags, name, assignment }) => chainOf(sniOf(mesh, tags), name, {}, assignment.because)),
    clusters: named.map(({ tags, name, assignment }) => clusterOf(name, tags, assignment.because)),
    assignments: named.map(({ assignment }) => assignment),
  }
}

export const clusterOf = (name: string, destination: Tags, because: Because): ClusterModel => ({
  name,
  destination,
  because,
  target: 'eds',
  connectMs: 5_000,
  breakers: 'none',
  statName: statName(name),
})

export const chainOf = (sni: string, cluster: string, subset: Tags, because: Because) => ({
  sni,
  chain: {
    because,
    match: { transport: 'tls' as const, serverNames: [sni] },
    content: {
      type: 'tcp' as const,
      statPrefix: statName(cluster),
      cluster,
      ...(Object.keys(subset).length > 0 ? { subset } : {}),
    },
  },
})
