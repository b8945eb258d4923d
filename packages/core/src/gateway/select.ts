import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { displayName } from '../kinds/common.ts'
import { expectPort } from '../kinds/expect.ts'
import type { MeshName } from '../kinds/identities.ts'
import { createInterning, type Interned } from '../kinds/interned.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import {
  type GatewayListener,
  hostnameFault,
  type ListenerCertificate,
  listenerHostname,
} from '../kinds/mesh-gateway-spec.ts'
import { ranges } from '../kinds/ranges.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import { type GatewayCandidate, gatewayRank, isBetterGateway } from '../match/gateways.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

export type PortProtocol = 'HTTP' | 'HTTPS' | 'TLS' | 'TCP'

/** One listener of a port, under a hostname of its own. */
export interface PortHost {
  readonly hostname: string
  /** The merged tags of dataplane, gateway and listener. */
  readonly tags: TagSet
  readonly tls: 'none' | 'terminate' | 'passthrough'
  readonly certificates: readonly ListenerCertificate[]
}

/** A port of a MeshGateway, given by the key text of its row, for the proxies with these tags. */
export interface PortPlace extends Interned {
  readonly mesh: MeshName
  readonly gateway: string
  readonly own: TagSet
  readonly port: number
}

/** One port of a gateway, merged from the listeners that share it. */
export interface GatewayPort {
  /** `<MeshGateway>:<protocol>:<port>` */
  readonly name: string
  readonly protocol: PortProtocol
  readonly port: number
  /** Other meshes may call it. Clients need the identity of a mesh. */
  readonly crossMesh: boolean
  /** The maximum number of connections; 0 means no limit. */
  readonly connectionLimit: number
  /** In the order of the resource, each hostname once. */
  readonly hosts: readonly PortHost[]
}

/** Selects the MeshGateway of a proxy and derives its ports. */
export function createGatewaySelection(units: Units, view: View) {
  return {
    /** The interned object of a port. */
    place: createInterning(
      ({ mesh, gateway, own, port }: Omit<PortPlace, keyof Interned>) => `${mesh}\n${gateway}\n${own.text}\n${port}`,
      (one, place): PortPlace => ({ ...one, ...place }),
    ),

    /** The most specific MeshGateway that selects these tags; among equals the newest. */
    gateway: units.family('gateway of tags', (mesh: MeshName, own: TagSet): string | undefined => {
      const { tags } = own
      const keys = [serviceOf(own), '*'].flatMap((name) => view.range(ranges.selecting('MeshGateway', mesh, name)))
      let best: GatewayCandidate | undefined
      for (const key of new Set(keys)) {
        const row = view.row(meshGateway, key)
        const rank = row && units.attempt(key, () => gatewayRank(row.spec, tags))
        if (!row || !rank) continue
        const candidate = { key: keyText(row.key), createdAtMs: row.stamp.createdAtMs, rank }
        if (!best || isBetterGateway(candidate, best)) best = candidate
      }
      return best?.key
    }),

    /**
     * The ports of a gateway for the proxies with these tags. A listener that cannot be served is reported and left
     * out.
     */
    ports: units.family('gateway ports', (key: string, own: TagSet): readonly GatewayPort[] => {
      const row = view.row(meshGateway, key)
      if (!row) return []
      const { spec } = row
      const portByNumber = new Map<number, GatewayPort>()
      for (const listener of spec.conf?.listeners ?? []) {
        const { port = 0, protocol = 'NONE', hostname } = listener
        units.attempt(key, () => {
          const name = hostname ? `listener ${protocol}:${port}:${hostname}` : `listener ${protocol}:${port}`
          const served = expectListener(name, listener)
          const before = portByNumber.get(port)
          if (before && before.protocol !== served.protocol)
            throw new Error(`${name}: the port is taken by a listener of protocol ${before.protocol}`)
          if (before && before.crossMesh !== served.crossMesh)
            throw new Error(`${name}: crossMesh is not that of another listener of this port`)
          if (before?.hosts.some((one) => one.hostname === served.hostname))
            throw new Error(`${name}: another listener of this port has this hostname`)
          const { tls, certificates } = served
          const tags = view.tagSet({ ...own.tags, ...spec.tags, ...listener.tags })
          const host = { hostname: served.hostname, tags, tls, certificates }
          portByNumber.set(port, {
            name: `${displayName(row)}:${served.protocol}:${port}`,
            protocol: served.protocol,
            port,
            crossMesh: served.crossMesh,
            // Any listener of the port may set the limit. Admission rejects different limits on one port.
            connectionLimit: before?.connectionLimit || (listener.resources?.connectionLimit ?? 0),
            hosts: [...(before?.hosts ?? []), host],
          })
        })
      }
      return [...portByNumber.values()].sort((a, b) => a.port - b.port)
    }),
  }
}
export type GatewaySelection = ReturnType<typeof createGatewaySelection>

/**
 * Validates a listener and returns its properties. Throws if it cannot be served. Rows of peers have not passed our
 * admission.
 */
function expectListener(name: string, listener: GatewayListener) {
  const { protocol = 'NONE' } = listener
  if (protocol === 'NONE') throw new Error(`${name}: expected a protocol`)
  const crossMesh = listener.crossMesh ?? false
  if (crossMesh && protocol !== 'HTTP') throw new Error(`${name}: expected protocol HTTP, as crossMesh is for no other`)
  expectPort(`${name}: port`, listener.port)
  const hostname = listenerHostname(listener)
  const fault = hostnameFault(hostname)
  if (fault !== undefined) throw new Error(`${name}: hostname: ${fault}`)
  const mode = listener.tls?.mode ?? 'NONE'
  const served = { protocol, hostname, crossMesh }
  if (protocol === 'HTTP' || protocol === 'TCP') return { ...served, tls: 'none' as const, certificates: [] }
  const modes = modesOf[protocol]
  if (!modes.includes(mode)) throw new Error(`${name}: tls.mode: expected ${modes.join(' or ')}, found ${mode}`)
  const tls = mode === 'TERMINATE' ? ('terminate' as const) : ('passthrough' as const)
  return { ...served, tls, certificates: listener.tls?.certificates ?? [] }
}

const modesOf: Record<'HTTPS' | 'TLS', readonly string[]> = {
  HTTPS: ['TERMINATE'],
  TLS: ['TERMINATE', 'PASSTHROUGH'],
}
