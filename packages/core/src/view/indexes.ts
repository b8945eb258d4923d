import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { meshTag, serviceTag, type Tags } from '../kinds/common.ts'
import { crossMeshHosts, crossMeshListeners } from '../kinds/cross-mesh.ts'
import { type DataplaneSpec, dataplaneRole, isReady } from '../kinds/dataplane.ts'
import type { AvailableServiceSpec } from '../kinds/internal.ts'
import type { MeshGatewaySpec } from '../kinds/mesh-gateway.ts'
import type { MeshGatewayRouteSpec } from '../kinds/mesh-gateway-route.ts'
import { tagsText } from '../match/tags.ts'
import type { TrafficPermissionSpec } from '../policies/traffic-permission/traffic-permission.ts'

/** One entry of an index: the range it is found in, and what is found there (the row's key unless it says otherwise). */
export interface IndexEntry {
  readonly range: string
  readonly member?: string
}

/** The names of all ranges. Each is read as a whole, sorted; also an empty one is a dependency. */
export const ranges = {
  /** Rows of a kind by name: policies and meshes exist once per name, whatever their origin. */
  named: (kind: string, mesh: string, name: string) => `named/${kind}/${mesh}/${name}`,
  /** All rows of a kind in a mesh. */
  inMesh: (kind: string, mesh: string) => `mesh/${kind}/${mesh}`,
  /** Rows of a kind with a selector for this service, or for `*`. */
  selecting: (kind: string, mesh: string, service: string) => `selecting/${kind}/${mesh}/${service}`,
  /** TrafficPermissions with a destination of this service, or of `*`. */
  permitting: (mesh: string, service: string) => `permitting/${mesh}/${service}`,
  /** Own Dataplanes with an inbound of this service, ready or not. */
  serving: (mesh: string, service: string) => `serving/${mesh}/${service}`,
  /** Own builtin gateways with this service. */
  gateways: (mesh: string, service: string) => `gateways/${mesh}/${service}`,
  /** What other zones announce of this service. */
  announced: (mesh: string, service: string) => `announced/${mesh}/${service}`,
  /** What other zones announce of listeners of this gateway that other meshes may call. */
  crossMeshAnnounced: (mesh: string, service: string) => `cross-mesh-announced/${mesh}/${service}`,
  /** ZoneIngresses of a zone. */
  ingresses: (zone: string) => `ingresses/${zone}`,
  /** ZoneEgresses of this zone. */
  egresses: 'egresses',
  /** Members: meshes of which other zones announce something; what they announce of services, and of gateways for other meshes. */
  remoteMeshes: 'remote-meshes',
  remoteServices: (mesh: string) => `remote-services/${mesh}`,
  remoteGateways: (mesh: string) => `remote-gateways/${mesh}`,
  /** Members: meshes in which this zone has Dataplanes. */
  ownMeshes: 'own-meshes',
  /** Members: services with a ready inbound in this zone. */
  ownServices: (mesh: string) => `own-services/${mesh}`,
  /** Members: services of this zone's builtin gateways. */
  ownGateways: (mesh: string) => `own-gateways/${mesh}`,
  /** MeshGateways of all meshes with listeners that other meshes may call. */
  crossMeshGateways: 'cross-mesh-gateways',
  /** Members: texts of tag sets that routes, mirrors or outbounds ask this service for. */
  demanded: (mesh: string, service: string) => `demanded/${mesh}/${service}`,
} as const

/** What is asked of another mesh is asked for by the tags that it has there. */
function demand(mesh: string, tags: Tags | undefined): IndexEntry[] {
  if (!tags?.[serviceTag]) return []
  const { [meshTag]: other = mesh, ...rest } = tags
  return [{ range: ranges.demanded(other, tags[serviceTag]), member: tagsText(rest) }]
}

const selects = (
  row: Row,
  selectors: readonly { readonly match?: Tags | undefined }[] | undefined,
): readonly IndexEntry[] =>
  (selectors ?? []).map(({ match }) => ({
    range: ranges.selecting(row.key.kind, row.key.mesh, match?.[serviceTag] ?? '*'),
  }))

function ofDataplane(row: Row, zone: string): IndexEntry[] {
  if (row.key.origin !== zone) return []
  // Admission stored what the schema returned; what is not so makes the caller leave the row out.
  const { networking } = row.spec as DataplaneSpec
  const { mesh } = row.key
  const gateway = dataplaneRole(row.spec as DataplaneSpec) === 'builtin' ? networking?.gateway?.tags?.[serviceTag] : ''
  return [
    { range: ranges.ownMeshes, member: mesh },
    ...(gateway
      ? [{ range: ranges.gateways(mesh, gateway) }, { range: ranges.ownGateways(mesh), member: gateway }]
      : []),
    ...(networking?.inbound ?? []).flatMap((one) => {
      const service = one.tags?.[serviceTag]
      if (!service || one.state === 'Ignored') return []
      return [
        { range: ranges.serving(mesh, service) },
        ...(isReady(one) ? [{ range: ranges.ownServices(mesh), member: service }] : []),
      ]
    }),
    ...(networking?.outbound ?? []).flatMap((one) => demand(mesh, one.tags)),
  ]
}

function ofGateway(row: Row): IndexEntry[] {
  const spec = row.spec as MeshGatewaySpec
  const { mesh, name } = row.key
  return [
    ...selects(row, spec.selectors),
    ...(crossMeshListeners(spec).length > 0 ? [{ range: ranges.crossMeshGateways }] : []),
    ...crossMeshHosts(mesh, name, spec).flatMap((host) => demand(mesh, host.destination)),
  ]
}

function ofRoute(row: Row): IndexEntry[] {
  const { selectors, conf } = row.spec as MeshGatewayRouteSpec
  const { mesh } = row.key
  return [
    ...selects(row, selectors),
    ...(conf?.http?.rules ?? []).flatMap((rule) => [
      ...(rule.backends ?? []).flatMap((backend) => demand(mesh, backend.destination)),
      ...(rule.filters ?? []).flatMap((filter) => demand(mesh, filter.mirror?.backend?.destination)),
    ]),
    ...(conf?.tcp?.rules ?? []).flatMap((rule) =>
      (rule.backends ?? []).flatMap((backend) => demand(mesh, backend.destination)),
    ),
  ]
}

/** Where a row is found. Throws on a row that is not what its kind says; such a row is found nowhere. */
export function indexEntriesOf(row: Row, zone: string): readonly IndexEntry[] {
  const { kind, mesh, origin, name } = row.key
  switch (kind) {
    case 'Dataplane':
      return ofDataplane(row, zone)
    case 'ZoneIngress':
      return [{ range: ranges.ingresses(origin) }]
    case 'ZoneEgress':
      return origin === zone ? [{ range: ranges.egresses }] : []
    case 'AvailableService': {
      const { [serviceTag]: service, [meshTag]: crossMesh } = (row.spec as AvailableServiceSpec).tags
      if (origin === zone || !service) return []
      return [
        { range: crossMesh ? ranges.crossMeshAnnounced(mesh, service) : ranges.announced(mesh, service) },
        { range: ranges.remoteMeshes, member: mesh },
        { range: crossMesh ? ranges.remoteGateways(mesh) : ranges.remoteServices(mesh), member: service },
      ]
    }
    case 'MeshGateway':
      return ofGateway(row)
    case 'MeshGatewayRoute':
      return ofRoute(row)
    case 'Mesh':
    case 'Zone':
    case 'GatewayCertificate':
      return [{ range: ranges.named(kind, mesh, name) }]
    case 'TrafficPermission':
      return (row.spec as TrafficPermissionSpec).destinations.map(({ match }) => ({
        range: ranges.permitting(mesh, match?.[serviceTag] ?? '*'),
      }))
    case 'Timeout':
    case 'Retry':
    case 'MeshTrafficPermission':
    case 'VirtualAddress':
      return [{ range: ranges.inMesh(kind, mesh) }]
    default:
      return []
  }
}
