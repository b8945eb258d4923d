import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { because, type Decided } from '../kinds/because.ts'
import { type Tags, zoneTag } from '../kinds/common.ts'
import type { MeshName } from '../kinds/identities.ts'
import { mesh } from '../kinds/mesh.ts'
import { enabledBackend, type MeshSpec } from '../kinds/mesh-spec.ts'
import { isEnabled, zone } from '../kinds/zone.ts'
import { HeldError, type Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** What proxies must know of a mesh. */
export interface MeshFacts extends Decided {
  readonly mtls: 'none' | 'strict' | 'permissive'
}

/** Facts about meshes and zones that many units read; each is compared, so that other fields wake nobody. */
export function createMeshes(units: Units, view: View) {
  /** Of a mesh whose row is quarantined it is `whenHeld`: it must not hold back the proxies of others. */
  function ofMesh(name: MeshName, read: (spec: MeshSpec) => boolean, whenHeld: boolean): boolean {
    try {
      const row = view.named(mesh, '', name)
      return row !== undefined && read(row.spec)
    } catch (thrown) {
      if (thrown instanceof HeldError) return whenHeld
      throw thrown
    }
  }

  return {
    mesh: units.family('mesh', (name: MeshName): MeshFacts => {
      const row = view.named(mesh, '', name)
      const backend = row && enabledBackend(row.spec)
      const decided = { because: because(row && keyText(row.key)) }
      if (!backend) return { mtls: 'none', ...decided }
      return { mtls: backend.mode === 'PERMISSIVE' ? 'permissive' : 'strict', ...decided }
    }),
    /**
     * Whether a mesh has an identity to show to others. One that is quarantined counts as before: its proxies keep what they
     * have, calls to it are never in the clear, and it must not hold back those of other meshes.
     */
    isSecured: units.family('secured mesh', (name: MeshName): boolean =>
      ofMesh(name, (spec) => enabledBackend(spec) !== undefined, true),
    ),
    /**
     * Whether what leaves the zone in a mesh goes through an egress of the zone. Of a mesh that is quarantined it is not known;
     * those of other meshes that call it go directly until it is.
     */
    viaEgress: units.family('mesh via egress', (name: MeshName): boolean =>
      ofMesh(name, (spec) => spec.routing?.zoneEgress === true && enabledBackend(spec) !== undefined, false),
    ),
    /**
     * Whether other zones send requests to a zone. A zone without a Zone row is deleted and counts as disabled. Rows of the
     * global leave this store only by a deletion or an announced replacement, so a silent global disables no zone.
     */
    zoneEnabled: units.family('zone enabled', (name: string): boolean => {
      const row = view.named(zone, '', name)
      return row !== undefined && isEnabled(row.spec)
    }),
  }
}
export type Meshes = ReturnType<typeof createMeshes>

/** Tags as all zones see them: with the zone, which people leave out. */
export const inZone = (tags: Tags, zone: string): Tags => (tags[zoneTag] ? tags : { ...tags, [zoneTag]: zone })
