import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Meshes } from '../edge/meshes.ts'
import { displayName } from '../kinds/common.ts'
import { crossMeshHosts, hostAddressName } from '../kinds/cross-mesh.ts'
import { type MeshName, meshName, type ServiceName, serviceName } from '../kinds/identities.ts'
import { virtualAddress } from '../kinds/internal.ts'
import { createInterning, type Interned } from '../kinds/interned.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import { ranges } from '../kinds/ranges.ts'
import type { TagSet } from '../kinds/tags.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** A gateway port that clients of every mesh reach by name. */
export interface NamedGateway {
  readonly mesh: MeshName
  readonly service: ServiceName
  readonly number: number
  readonly port: number
  readonly destination: TagSet
  /** The row of its virtual address. */
  readonly source: string
}

/** The names that exist in every mesh: cross-mesh listeners of gateways, with their virtual addresses. */
export function createHosts(units: Units, view: View, meshes: Meshes) {
  const number = units.family('host number', (key: string): number | undefined => {
    const spec = view.row(virtualAddress, key)?.spec
    return spec && spec.releasedAtMs === undefined ? spec.number : undefined
  })

  const ofGateway = units.family('gateway hosts', (key: string): readonly NamedGateway[] => {
    const row = view.row(meshGateway, key)
    if (!row) return []
    const mesh = meshName(row.key.mesh)
    if (!meshes.isSecured(mesh)) return []
    const hosts = units.attempt(key, () => crossMeshHosts(mesh, displayName(row), row.spec)) ?? []
    return hosts.flatMap(({ hostname, service, port, destination }) => {
      const name = hostAddressName(hostname)
      const source = keyText({ origin: view.zone, kind: 'VirtualAddress', mesh, name })
      const found = number(source)
      return found === undefined
        ? []
        : [
            {
              mesh,
              service: serviceName(service),
              number: found,
              port,
              destination: view.tagSet(destination),
              source,
            },
          ]
    })
  })

  const all = units.family('named gateways', (): readonly NamedGateway[] => {
    // If two gateways of a mesh have the same hostname and port, the first one by name gets it.
    const byPlace = new Map<string, NamedGateway>()
    for (const key of [...view.range(ranges.crossMeshGateways)].sort(byName))
      for (const one of ofGateway(key)) {
        const place = `${one.number}:${one.port}`
        if (!byPlace.has(place)) byPlace.set(place, one)
      }
    return [...byPlace.values()]
  })

  /** The gateways that clients of a mesh can reach. */
  return units.family(
    'reachable gateways',
    (mesh: MeshName, reachable: Reachable | undefined): readonly NamedGateway[] =>
      meshes.mesh(mesh).mtls === 'none'
        ? []
        : all().filter(({ service }) => !reachable || reachable.names.has(service)),
  )
}

/** The services that a proxy may reach, if it is limited to some. */
export interface Reachable extends Interned {
  readonly names: ReadonlySet<string>
}

/** Interns lists of services. */
export const createReachables = () =>
  createInterning(
    (services: readonly string[]) => canonicalJson([...services].sort()),
    (one, services): Reachable => ({ ...one, names: new Set(services) }),
  )

const byName = (a: string, b: string): number => {
  const [one, other] = [parseKeyText(a), parseKeyText(b)]
  return byCodeUnit(one.mesh, other.mesh) || byCodeUnit(one.name, other.name) || byCodeUnit(a, b)
}
