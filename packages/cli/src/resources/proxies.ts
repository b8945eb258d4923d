import { displayNameLabel } from '@zonemesh/core/kinds/common.ts'
import { isJsonObject, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Client } from '../base/client.ts'
import { listOverviews } from './items.ts'
import { kindByWord } from './kinds.ts'
import { livenessOf } from './liveness.ts'

export const proxyTypes = ['dataplane', 'ingress', 'egress'] as const
export type ProxyType = (typeof proxyTypes)[number]

const kindByType = { dataplane: 'Dataplane', ingress: 'ZoneIngress', egress: 'ZoneEgress' } as const

/** A proxy, and its path in the API. */
export interface NamedProxy {
  readonly name: string
  readonly path: string
}

/** The path of a proxy in the API. Only a dataplane has a mesh. */
export function proxyPath(type: ProxyType, mesh: string, name: string): string {
  const { path } = kindByWord(kindByType[type])
  const base = type === 'dataplane' ? `/meshes/${encodeURIComponent(mesh)}/${path}` : `/${path}`
  return `${base}/${encodeURIComponent(name)}`
}

/** The gateways, zone ingresses and zone egresses that are online; with `sidecars` all Dataplanes. */
export async function onlineProxies(client: Client, sidecars: boolean): Promise<readonly NamedProxy[]> {
  const found = await Promise.all(
    proxyTypes.map(async (type) => {
      const overviews = await listOverviews(client, kindByWord(kindByType[type]), everywhere)
      const wanted = overviews.filter(
        ({ item, insight }) =>
          livenessOf(insight).state === 'online' && (type !== 'dataplane' || sidecars || isGateway(item)),
      )
      return wanted.map(({ item }) => {
        const name = String(item['name'])
        return { name: plainNameOf(item), fullName: name, path: proxyPath(type, String(item['mesh'] ?? ''), name) }
      })
    }),
  )
  const byName = Map.groupBy(found.flat(), ({ name }) => name)
  // Zones may have proxies of the same name.
  return [...byName.values()].flatMap((same) =>
    same.map(({ name, fullName, path }) => ({ name: same.length > 1 ? fullName : name, path })),
  )
}

/** The name that the zone gave the proxy: a global shows it with a hash of its zone. */
function plainNameOf({ name, labels }: JsonObject): string {
  const plain = isJsonObject(labels) ? labels[displayNameLabel] : undefined
  return typeof plain === 'string' ? plain : String(name)
}

const everywhere = { mesh: undefined, selector: new Map<string, string>() }

const isGateway = ({ networking }: JsonObject): boolean => isJsonObject(networking) && 'gateway' in networking
