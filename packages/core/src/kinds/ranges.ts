import { meshTag, type Selectors, serviceTag, type Tags } from './common.ts'
import type { IndexEntry, TypedRow } from './kind.ts'
import { tagsText } from './tags.ts'

/** The names of all ranges. A range is read as a whole, sorted. Reading an empty range is a dependency too. */
export const ranges = {
  /** Rows of a kind by name: policies and meshes exist once per name, whatever their origin. */
  named: (kind: string, mesh: string, name: string) => `named/${kind}/${mesh}/${name}`,
  /** All rows of a kind in a mesh. */
  inMesh: (kind: string, mesh: string) => `mesh/${kind}/${mesh}`,
  /** Rows of a kind with a selector for this service, or for `*`. */
  selecting: (kind: string, mesh: string, service: string) => `selecting/${kind}/${mesh}/${service}`,
  /** TrafficPermissions with a destination of this service, or of `*`. */
  permitting: (mesh: string, service: string) => `permitting/${mesh}/${service}`,
  /** Dataplanes of this zone with an inbound of this service, ready or not. */
  serving: (mesh: string, service: string) => `serving/${mesh}/${service}`,
  /** Builtin gateways of this zone with this service. */
  gateways: (mesh: string, service: string) => `gateways/${mesh}/${service}`,
  /** Announcements of other zones for this service. */
  announced: (mesh: string, service: string) => `announced/${mesh}/${service}`,
  /** Announcements of other zones for cross-mesh listeners of this gateway. */
  crossMeshAnnounced: (mesh: string, service: string) => `cross-mesh-announced/${mesh}/${service}`,
  /** ZoneIngresses of a zone. */
  ingresses: (zone: string) => `ingresses/${zone}`,
  /** ZoneEgresses of this zone. */
  egresses: 'egresses',
  /**
   * Members: meshes in which other zones announce something; below, the services and the cross-mesh gateways they
   * announce.
   */
  remoteMeshes: 'remote-meshes',
  remoteServices: (mesh: string) => `remote-services/${mesh}`,
  remoteGateways: (mesh: string) => `remote-gateways/${mesh}`,
  /** Members: meshes in which this zone has Dataplanes. */
  ownMeshes: 'own-meshes',
  /** Members: services with a ready inbound in this zone. */
  ownServices: (mesh: string) => `own-services/${mesh}`,
  /** Members: services of this zone's builtin gateways. */
  ownGateways: (mesh: string) => `own-gateways/${mesh}`,
  /** MeshGateways of all meshes with cross-mesh listeners. */
  crossMeshGateways: 'cross-mesh-gateways',
  /** Members: texts of tag sets with which routes, mirrors or outbounds refer to this service. */
  demanded: (mesh: string, service: string) => `demanded/${mesh}/${service}`,
} as const

/** The index entry of a destination. A destination in another mesh is indexed by its tags in that mesh. */
export function demand(mesh: string, tags: Tags | undefined): IndexEntry[] {
  if (!tags?.[serviceTag]) return []
  const { [meshTag]: other = mesh, ...rest } = tags
  return [{ range: ranges.demanded(other, tags[serviceTag]), member: tagsText(rest), tags: rest }]
}

type Keyed = Pick<TypedRow<unknown>, 'key'>

/** Indexes a row by the service of each of its selectors; a selector without a service is indexed under `*`. */
export const selecting = ({ key }: Keyed, selectors: Selectors | undefined): readonly IndexEntry[] =>
  (selectors ?? []).map(({ match }) => ({
    range: ranges.selecting(key.kind, key.mesh, match?.[serviceTag] ?? '*'),
  }))

/** Indexes a row by its name. */
export const byName = ({ key }: Keyed): readonly IndexEntry[] => [{ range: ranges.named(key.kind, key.mesh, key.name) }]

/** Indexes a row among all rows of its kind in its mesh. */
export const byMesh = ({ key }: Keyed): readonly IndexEntry[] => [{ range: ranges.inMesh(key.kind, key.mesh) }]
