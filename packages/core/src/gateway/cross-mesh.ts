import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { type Instance, probedIfLost } from '../edge/endpoints.ts'
import { inZone, type Meshes } from '../edge/meshes.ts'
import { because } from '../kinds/because.ts'
import { crossMeshTags } from '../kinds/cross-mesh.ts'
import { dataplane } from '../kinds/dataplane.ts'
import type { DataplaneSpec } from '../kinds/dataplane-spec.ts'
import { expectIp } from '../kinds/expect.ts'
import { type MeshName, meshName, type ServiceName } from '../kinds/identities.ts'
import type { TypedRow } from '../kinds/kind.ts'
import { ranges } from '../kinds/ranges.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import type { GatewaySelection } from './select.ts'

/**
 * The addresses of this zone's gateway listeners that other meshes may call. There is one instance for each host of a
 * port, because clients select by the tags of the host.
 */
export function createCrossMesh(units: Units, view: View, meshes: Meshes, selection: GatewaySelection) {
  function instancesOf(row: TypedRow<DataplaneSpec>): Instance[] {
    const mesh = meshName(row.key.mesh)
    const { networking } = row.spec
    const address = networking?.advertisedAddress ?? networking?.address ?? ''
    expectIp('networking.address', address)
    const own = view.tagSet(inZone(networking?.gateway?.tags ?? {}, view.zone))
    const gateway = selection.gateway(mesh, own)
    if (gateway === undefined) return []
    return selection
      .ports(gateway, own)
      .filter((port) => port.crossMesh)
      .flatMap(({ port, hosts }) =>
        hosts.map((host) => ({
          address,
          port,
          tags: crossMeshTags(mesh, port, host.tags.tags),
          ready: true,
          because: because(keyText(row.key), gateway),
          ...probedIfLost(row.labels),
        })),
      )
  }

  return units.family('cross-mesh instances', (mesh: MeshName, service: ServiceName): readonly Instance[] => {
    // Without an identity of the mesh, clients of other meshes cannot verify the gateway, so the listener is not
    // served.
    if (!meshes.isSecured(mesh)) return []
    return view
      .rows(dataplane, ranges.gateways(mesh, service))
      .flatMap((row) => units.attempt(keyText(row.key), () => instancesOf(row)) ?? [])
  })
}
