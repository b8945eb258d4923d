import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { because, type Decided } from '../kinds/because.ts'
import { type Tags, zoneTag } from '../kinds/common.ts'
import type { MeshName } from '../kinds/identities.ts'
import { mesh } from '../kinds/mesh.ts'
import { enabledBackend, type MeshSpec } from '../kinds/mesh-spec.ts'
import { isEnabled, zone } from '../kinds/zone.ts'
import { HeldError } from '../view/problem.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** The properties of a mesh that proxies depend on. */
export interface MeshFacts extends Decided {
  readonly mtls: 'none' | 'strict' | 'permissive'
}

/**
 * Facts about meshes and zones that many units read. Each is compared by value, so changes to other fields cause no
 * recomputation.
 */
export function createMeshes(units: Units, view: View) {
  /**
   * Reads a fact of a mesh. If its row is quarantined, the result is `whenHeld`, so that proxies of other meshes are
   * not blocked.
   */
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
     * Whether a mesh has an identity. A quarantined mesh counts as secured: its proxies keep their configuration, and
     * calls to it must never be sent in the clear. It must not block proxies of other meshes.
     */
    isSecured: units.family('secured mesh', (name: MeshName): boolean =>
      ofMesh(name, (spec) => enabledBackend(spec) !== undefined, true),
    ),
    /**
     * Whether connections of a mesh leave the zone through an egress. This is unknown while the mesh is quarantined;
     * proxies of other meshes then connect to it directly.
     */
    viaEgress: units.family('mesh via egress', (name: MeshName): boolean =>
      ofMesh(name, (spec) => spec.routing?.zoneEgress === true && enabledBackend(spec) !== undefined, false),
    ),
    /**
     * Whether other zones send requests to a zone. A zone without a Zone row was deleted and counts as disabled. Rows
     * of the global leave this store only through a deletion or an announced replacement, so a disconnected global
     * disables no zone.
     */
    zoneEnabled: units.family('zone enabled', (name: string): boolean => {
      const row = view.named(zone, '', name)
      return row !== undefined && isEnabled(row.spec)
    }),
  }
}
export type Meshes = ReturnType<typeof createMeshes>

/** Tags as other zones see them: with the zone tag, which users omit. */
export const inZone = (tags: Tags, zone: string): Tags => (tags[zoneTag] ? tags : { ...tags, [zoneTag]: zone })
