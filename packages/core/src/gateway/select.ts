import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { displayNameLabel, serviceTag, type Tags } from '../kinds/common.ts'
import { listenerHostname, type MeshGatewaySpec } from '../kinds/mesh-gateway.ts'
import { expectPort } from '../match/expect.ts'
import { bestMatch, compareRank, parseTags, type Rank, tagsText } from '../match/tags.ts'
import { ranges } from '../view/indexes.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** One port of a gateway, collapsed from the listeners that share it. */
export interface GatewayPort {
  /** `<MeshGateway>:HTTP:<port>` */
  readonly name: string
  readonly port: number
  /** In the order of the resource, each hostname once. */
  readonly hosts: readonly { readonly hostname: string; readonly tagsText: string }[]
}

/** Which MeshGateway serves a proxy, and what follows for its ports. */
export function createGatewaySelection(units: Units, view: View) {
  return {
    /** Of all MeshGateways that select these tags the most specific one, of equals the newest. */
    gateway: units.family('gateway of tags', (mesh: string, text: string): string | undefined => {
      const tags = parseTags(text)
      const service = tags[serviceTag] ?? ''
      const keys = [service, '*'].flatMap((name) => view.range(ranges.selecting('MeshGateway', mesh, name)))
      let best: { readonly row: Row; readonly rank: Rank } | undefined
      for (const key of new Set(keys)) {
        const row = view.row(key)
        // Admission stored what the schema returned; what is not so throws here, and the row is left out.
        const rank = row && units.attempt(key, () => matchOf(row.spec as MeshGatewaySpec, tags))
        if (!row || !rank) continue
        if (!best || isBetter({ row, rank }, best)) best = { row, rank }
      }
      return best && keyText(best.row.key)
    }),

    /** The HTTP ports of a gateway as the proxy with these tags has them. Others are named and left out. */
    ports: units.family('gateway ports', (key: string, dataplaneTags: string): readonly GatewayPort[] => {
      const row = view.row(key)
      if (!row) return []
      // As above.
      const spec = row.spec as MeshGatewaySpec
      const own = parseTags(dataplaneTags)
      const portByNumber = new Map<number, GatewayPort>()
      for (const listener of spec.conf?.listeners ?? []) {
        const { port = 0, protocol = 'NONE' } = listener
        if (protocol !== 'HTTP' || listener.crossMesh) {
          units.problem(
            key,
            `listener ${protocol}:${port}: ${listener.crossMesh ? 'crossMesh is' : 'not HTTP,'} not served`,
          )
          continue
        }
        const hostname = listenerHostname(listener)
        const tags: Tags = { ...own, ...spec.tags, ...listener.tags }
        const before = portByNumber.get(port)
        if (before?.hosts.some((host) => host.hostname === hostname)) continue
        portByNumber.set(port, {
          name: `${displayName(row)}:HTTP:${port}`,
          port,
          hosts: [...(before?.hosts ?? []), { hostname, tagsText: tagsText(tags) }],
        })
      }
      return [...portByNumber.values()].sort((a, b) => a.port - b.port)
    }),
  }
}
export type GatewaySelection = ReturnType<typeof createGatewaySelection>

/** The name that people gave the resource. */
export const displayName = (row: Row): string => row.labels[displayNameLabel] ?? row.key.name

/** How well a gateway fits these tags. Throws on one without listeners: it must not stand in the way of another. */
function matchOf(spec: MeshGatewaySpec, tags: Tags): Rank | undefined {
  const rank = bestMatch(spec.selectors, tags)
  const listeners = spec.conf?.listeners ?? []
  if (rank && listeners.length === 0) throw new Error('conf.listeners: expected at least one')
  if (rank) for (const listener of listeners) expectPort('conf.listeners.port', listener.port)
  return rank
}

type Candidate = { readonly row: Row; readonly rank: Rank }
const isBetter = (a: Candidate, b: Candidate): boolean => {
  const order =
    compareRank(a.rank, b.rank) ||
    a.row.stamp.createdAtMs - b.row.stamp.createdAtMs ||
    byCodeUnit(keyText(b.row.key), keyText(a.row.key))
  return order > 0
}
