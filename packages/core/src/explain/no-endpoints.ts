import { hasAll } from '../edge/endpoints.ts'
import { inZone } from '../edge/meshes.ts'
import { meshTag, serviceTag, type Tags } from '../kinds/common.ts'
import { crossMeshListeners } from '../kinds/cross-mesh.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { isReady } from '../kinds/dataplane-spec.ts'
import { type AvailableServiceSpec, availableService } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { mesh as meshKind } from '../kinds/mesh.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import { enabledBackend, type MeshSpec } from '../kinds/mesh-spec.ts'
import { isEnabled, zone as zoneKind } from '../kinds/zone.ts'
import { zoneEgress } from '../kinds/zone-egress.ts'
import { zoneIngress } from '../kinds/zone-ingress.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { called, stop, tagsOf } from './walk.ts'

/**
 * The announcements of other zones with these tags. Announcements of cross-mesh gateways have a mesh tag, so only
 * requests with a mesh match them.
 */
const offersOf = (zone: CompiledZone, mesh: string, wanted: Tags): readonly TypedRow<AvailableServiceSpec>[] =>
  zone
    .rows(availableService)
    .filter((row) => row.key.mesh === mesh && row.key.origin !== zone.name)
    .filter((row) => {
      const { tags } = row.spec
      return hasAll(tags, wanted) && (tags[meshTag] === undefined) === (wanted[meshTag] === undefined)
    })

interface OwnInstance {
  readonly row: AnyRow
  readonly tags: Tags
  readonly ready: boolean
}

const ownInstances = (zone: CompiledZone, mesh: string, service: string): readonly OwnInstance[] =>
  zone
    .rows(dataplane)
    .filter((row) => row.key.mesh === mesh && row.key.origin === zone.name)
    .flatMap((row) =>
      (row.spec.networking?.inbound ?? [])
        .filter((one) => one.tags?.[serviceTag] === service)
        .map((one) => ({ row, tags: inZone(one.tags ?? {}, zone.name), ready: isReady(one) })),
    )

/** Stops with the reason why a service, or a gateway of another mesh, has no endpoints. */
export function explainNoEndpoints(zone: CompiledZone, mesh: string, wanted: Tags, routes: readonly AnyRow[]): never {
  const { [serviceTag]: service = '', [meshTag]: other } = wanted
  const isCrossMesh = other !== undefined
  if (isCrossMesh) checkGateway(zone, mesh, service, routes)
  const own = isCrossMesh ? [] : ownInstances(zone, mesh, service)
  const far = offersOf(zone, mesh, { [serviceTag]: service, ...(isCrossMesh ? { [meshTag]: other } : {}) })
  const offered = [...own.map(({ tags }) => tags), ...far.map((row) => row.spec.tags)]
  if (offered.length === 0 && isCrossMesh)
    stop(
      'endpoints',
      `no zone has a proxy that is gateway ${service} of mesh ${mesh}: the answer is 503`,
      `start a Dataplane with networking.gateway.type BUILTIN and ${serviceTag}=${service} in mesh ${mesh}`,
      routes,
    )
  if (offered.length === 0)
    stop(
      'endpoints',
      `no zone has an instance of ${service}: the answer is 503`,
      `start a Dataplane with an inbound of ${serviceTag}=${service} in mesh ${mesh}, or correct the name in the route`,
      routes,
    )
  if (!offered.some((tags) => hasAll(tags, wanted)))
    stop(
      'endpoints',
      `${service} has no instance with ${tagsOf(wanted)}: the answer is 503`,
      `correct the tags of the backend, or start an instance with them; the instances have: ${offered.map(tagsOf).join('; ')}`,
      routes,
    )
  const unready = own.find(({ tags, ready }) => !ready && hasAll(tags, wanted))
  const fitting = far.filter((row) => hasAll(row.spec.tags, wanted))
  if (fitting.length === 0 && unready)
    stop(
      'endpoints',
      `${called(unready.row)} reports that ${service} is not ready`,
      'look at the log of the proxy: its Envoy has not answered yet, or the probe of its service fails',
      [unready.row],
    )
  const meshRow = zone.rows(meshKind).find((row) => row.key.name === mesh)
  if (!meshRow || !enabledBackend(meshRow.spec))
    stop(
      'endpoints',
      `${service} runs in another zone, and mesh ${mesh} has no mutual TLS: an ingress routes by the names in TLS`,
      'give the mesh mtls.backends and mtls.enabledBackend',
      meshRow ? [meshRow] : [],
    )
  for (const row of fitting) noWayInto(zone, row, service)
  noWayOut(zone, meshRow, service)
  stop('endpoints', `no instance of ${service} can be reached`, 'look at `zonemesh status`', routes)
}

function noWayOut(zone: CompiledZone, mesh: TypedRow<MeshSpec>, service: string): void {
  const wantsEgress = mesh.spec.routing?.zoneEgress
  if (wantsEgress && !zone.rows(zoneEgress).some((row) => row.key.origin === zone.name))
    stop(
      'egress',
      `${service} runs in another zone, ${called(mesh)} sends what leaves a zone through its egress, and zone ${zone.name} has none`,
      'start one with a ZoneEgress in FILE: zonemesh dataplane --dataplane-file FILE; or set routing.zoneEgress: false',
      [mesh],
    )
}

/** Stops if a gateway has no cross-mesh listener. */
function checkGateway(zone: CompiledZone, mesh: string, service: string, routes: readonly AnyRow[]): void {
  const gateways = zone
    .rows(meshGateway)
    .map((row) => ({ row, spec: row.spec }))
    .filter(
      ({ row, spec }) =>
        row.key.mesh === mesh &&
        spec.selectors.some(({ match = {} }) => [service, '*'].includes(match[serviceTag] ?? '*')),
    )
  if (gateways.some(({ spec }) => crossMeshListeners(spec).length > 0)) return
  const [first] = gateways
  if (first)
    stop(
      'endpoints',
      `${called(first.row)} of mesh ${mesh} has no listener for other meshes: the answer is 503`,
      `set crossMesh: true on an HTTP listener of ${called(first.row)}`,
      [first.row],
    )
  stop(
    'endpoints',
    `mesh ${mesh} has no MeshGateway for ${service}: the answer is 503`,
    `apply a MeshGateway with a selector of ${serviceTag}=${service} and a listener with crossMesh: true, or correct the tags`,
    routes,
  )
}

function noWayInto(zone: CompiledZone, offer: AnyRow, service: string): void {
  const far = offer.key.origin
  const zoneRow = zone.rows(zoneKind).find((row) => row.key.name === far)
  if (!zoneRow)
    stop(
      'endpoints',
      `${service} runs in zone ${far}, which has no Zone resource: it was deleted, so no request goes there`,
      `create it again with \`zonemesh token zone ${far}\`, or remove its rows with \`zonemesh zone forget ${far}\``,
      [offer],
    )
  if (!isEnabled(zoneRow.spec))
    stop('endpoints', `${service} runs in zone ${far}, which is disabled`, `set enabled: true on Zone ${far}`, [
      zoneRow,
    ])
  const ingresses = zone.rows(zoneIngress).filter((row) => row.key.origin === far)
  if (ingresses.length === 0)
    stop(
      'ingress',
      `${service} runs in zone ${far}, which has no ZoneIngress`,
      'start one there with a ZoneIngress in FILE: zonemesh dataplane --dataplane-file FILE',
      [offer],
    )
  const silent = ingresses.filter((row) => {
    const { advertisedAddress, advertisedPort } = row.spec.networking ?? {}
    return !advertisedAddress || !advertisedPort
  })
  if (silent.length === ingresses.length)
    stop(
      'ingress',
      `${service} runs in zone ${far}, and no ZoneIngress there has an advertised address`,
      'set networking.advertisedAddress and networking.advertisedPort of the ZoneIngress',
      silent,
    )
}
