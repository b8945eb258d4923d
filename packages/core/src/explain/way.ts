import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { ClusterModel, EndpointModel } from '../compile/model.ts'
import { inZone } from '../edge/meshes.ts'
import { sniOf } from '../edge/sni.ts'
import { typeUrls } from '../emit/table.ts'
import { meshTag, serviceTag, type Tags } from '../kinds/common.ts'
import { crossMeshListeners, placeOf } from '../kinds/cross-mesh.ts'
import { type DataplaneSpec, isReady } from '../kinds/dataplane.ts'
import type { AvailableServiceSpec } from '../kinds/internal.ts'
import { enabledBackend, type MeshSpec } from '../kinds/mesh.ts'
import type { MeshGatewaySpec } from '../kinds/mesh-gateway.ts'
import { isEnabled, type ZoneSpec } from '../kinds/zone.ts'
import type { ZoneEgressSpec } from '../kinds/zone-egress.ts'
import type { ZoneIngressSpec } from '../kinds/zone-ingress.ts'
import type { CompiledZone } from './compiled-zone.ts'
import { tagsOf } from './gateway.ts'
import { called, stop, type Walk } from './walk.ts'

/** Where a request goes on: what the route names, and where that was found. */
export interface Way {
  /** Of the instances. A gateway of another mesh is asked for by `tags` in its own. */
  readonly mesh: string
  readonly isCrossMesh: boolean
  readonly tags: Tags
  readonly cluster: ClusterModel
  readonly endpoints: readonly EndpointModel[]
}

/** The instances behind a destination. Stops with the reason where there are none. */
export function findEndpoints(
  walk: Walk,
  zone: CompiledZone,
  proxy: Row,
  cluster: ClusterModel,
  tags: Tags,
  routes: readonly Row[],
): Way {
  const { home, asked, isCrossMesh } = placeOf(proxy.key.mesh, tags)
  const compiled = zone.look(proxy)
  const { model } = compiled
  const endpoints = model?.assignments.find((one) => one.cluster === cluster.name)?.endpoints ?? []
  if (endpoints.length === 0) nobody(zone, home, tags, routes)
  const running = [typeUrls.cluster, typeUrls.assignment].map((type) =>
    walk.compareRunning('endpoints', compiled, type, cluster.name, routes),
  )
  const where = endpoints.map((one) => `${one.address}:${one.port} in ${one.zone} (weight ${one.weight})`)
  walk.pass(
    'endpoints',
    `${tags[serviceTag]}${isCrossMesh ? ` of mesh ${home}` : ''} is at ${where.join(', ')}`,
    zone.name,
    offersOf(zone, home, tags),
    running,
  )
  return { mesh: home, isCrossMesh, tags: asked, cluster, endpoints }
}

const fits = (wanted: Tags, tags: Tags): boolean => Object.entries(wanted).every(([key, value]) => tags[key] === value)

/** The announcements of other zones that have these tags. Those of gateways have a mesh in them, and are nobody else's. */
const offersOf = (zone: CompiledZone, mesh: string, wanted: Tags): readonly Row[] =>
  zone
    .rows('AvailableService')
    .filter((row) => row.key.mesh === mesh && row.key.origin !== zone.name)
    .filter((row) => {
      const { tags } = row.spec as AvailableServiceSpec // its zone writes it itself
      return fits(wanted, tags) && (tags[meshTag] === undefined) === (wanted[meshTag] === undefined)
    })

interface OwnInstance {
  readonly row: Row
  readonly tags: Tags
  readonly ready: boolean
}

const ownInstances = (zone: CompiledZone, mesh: string, service: string): readonly OwnInstance[] =>
  zone
    .rows('Dataplane')
    .filter((row) => row.key.mesh === mesh && row.key.origin === zone.name)
    .flatMap((row) =>
      ((row.spec as DataplaneSpec).networking?.inbound ?? [])
        .filter((one) => one.tags?.[serviceTag] === service)
        .map((one) => ({ row, tags: inZone(one.tags ?? {}, zone.name), ready: isReady(one) })),
    )

/** No endpoints: why there are none, for services and for the gateways of another mesh. */
function nobody(zone: CompiledZone, mesh: string, wanted: Tags, routes: readonly Row[]): never {
  const { [serviceTag]: service = '', [meshTag]: other } = wanted
  const isCrossMesh = other !== undefined
  if (isCrossMesh) checkGateway(zone, mesh, service, routes)
  const own = isCrossMesh ? [] : ownInstances(zone, mesh, service)
  const far = offersOf(zone, mesh, { [serviceTag]: service, ...(isCrossMesh ? { [meshTag]: other } : {}) })
  const offered = [...own.map(({ tags }) => tags), ...far.map((row) => (row.spec as AvailableServiceSpec).tags)]
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
  if (!offered.some((tags) => fits(wanted, tags)))
    stop(
      'endpoints',
      `${service} has no instance with ${tagsOf(wanted)}: the answer is 503`,
      `its instances have: ${offered.map(tagsOf).join('; ')}`,
      routes,
    )
  const unready = own.find(({ tags, ready }) => !ready && fits(wanted, tags))
  const fitting = far.filter((row) => fits(wanted, (row.spec as AvailableServiceSpec).tags))
  if (fitting.length === 0 && unready)
    stop(
      'endpoints',
      `${called(unready.row)} says that ${service} is not ready`,
      'look at the service behind it: its state comes from its probe',
      [unready.row],
    )
  const meshRow = zone.rows('Mesh').find((row) => row.key.name === mesh)
  if (!meshRow || !enabledBackend(meshRow.spec as MeshSpec))
    stop(
      'endpoints',
      `${service} runs in another zone, and mesh ${mesh} has no mutual TLS: the way between zones is told by the names in it`,
      'give the mesh mtls.backends and mtls.enabledBackend',
      meshRow ? [meshRow] : [],
    )
  for (const row of fitting) noWayInto(zone, row, service)
  noWayOut(zone, meshRow, service)
  stop('endpoints', `no instance of ${service} can be reached`, 'look at `zonemesh status`', routes)
}

function noWayOut(zone: CompiledZone, mesh: Row, service: string): void {
  const wantsEgress = (mesh.spec as MeshSpec).routing?.zoneEgress
  if (wantsEgress && !zone.rows('ZoneEgress').some((row) => row.key.origin === zone.name))
    stop(
      'egress',
      `${service} runs in another zone, ${called(mesh)} sends what leaves a zone through its egress, and zone ${zone.name} has none`,
      'start one: zonemesh dataplane --proxy-type egress; or set routing.zoneEgress: false',
      [mesh],
    )
}

/** Whether other meshes may call a gateway. Stops if none of its listeners is theirs. */
function checkGateway(zone: CompiledZone, mesh: string, service: string, routes: readonly Row[]): void {
  const gateways = zone
    .rows('MeshGateway')
    // Admission stored what the schema returned.
    .map((row) => ({ row, spec: row.spec as MeshGatewaySpec }))
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
      `${called(first.row)} of mesh ${mesh} has no listener that other meshes may call: the answer is 503`,
      'set crossMesh: true on an HTTP listener of it',
      [first.row],
    )
  stop(
    'endpoints',
    `mesh ${mesh} has no MeshGateway for ${service}: the answer is 503`,
    `apply one with a selector of ${serviceTag}=${service} and a listener with crossMesh: true, or correct the tags`,
    routes,
  )
}

function noWayInto(zone: CompiledZone, offer: Row, service: string): void {
  const far = offer.key.origin
  const zoneRow = zone.rows('Zone').find((row) => row.key.name === far)
  if (zoneRow && !isEnabled(zoneRow.spec as ZoneSpec))
    stop('endpoints', `${service} runs in zone ${far}, which is disabled`, `set enabled: true on Zone ${far}`, [
      zoneRow,
    ])
  const ingresses = zone.rows('ZoneIngress').filter((row) => row.key.origin === far)
  if (ingresses.length === 0)
    stop(
      'ingress',
      `${service} runs in zone ${far}, which has no ZoneIngress`,
      `start one there: zonemesh dataplane --proxy-type ingress`,
      [offer],
    )
  const silent = ingresses.filter((row) => {
    const { advertisedAddress, advertisedPort } = (row.spec as ZoneIngressSpec).networking ?? {}
    return !advertisedAddress || !advertisedPort
  })
  if (silent.length === ingresses.length)
    stop(
      'ingress',
      `${service} runs in zone ${far}, and no ZoneIngress there says where it is reached`,
      'set networking.advertisedAddress and networking.advertisedPort of the ZoneIngress',
      silent,
    )
}

/** Through the ingress of another zone: what it does with the name in the TLS of the client. Returns the instances there. */
export function crossOver(
  walk: Walk,
  here: CompiledZone,
  there: CompiledZone,
  way: Way,
  endpoint: EndpointModel,
): readonly EndpointModel[] {
  const ingress = there.rows('ZoneIngress').find((row) => {
    const { advertisedAddress, advertisedPort } = (row.spec as ZoneIngressSpec).networking ?? {}
    return row.key.origin === there.name && advertisedAddress === endpoint.address && advertisedPort === endpoint.port
  })
  if (!ingress)
    stop(
      'ingress',
      `zone ${here.name} goes to ${endpoint.address}:${endpoint.port}, where zone ${there.name} has no ingress`,
      'the zone that asks is behind: look at `zonemesh status`',
    )
  return leadOn(walk, 'ingress', here, there, ingress, way, endpoint)
}

/** Through an egress of the own zone. Returns the ingresses of other zones that it leads to. */
export function leave(walk: Walk, zone: CompiledZone, way: Way, endpoint: EndpointModel): readonly EndpointModel[] {
  const egress = zone.rows('ZoneEgress').find((row) => {
    const { address, port } = (row.spec as ZoneEgressSpec).networking ?? {}
    return row.key.origin === zone.name && address === endpoint.address && port === endpoint.port
  })
  if (egress) return leadOn(walk, 'egress', zone, zone, egress, way, endpoint)
  return stop(
    'egress',
    `no ZoneEgress of zone ${zone.name} is at ${endpoint.address}:${endpoint.port} any more`,
    'it is gone and the news is on its way: look at `zonemesh status`',
  )
}

/** What a zone proxy does with the name that a connection asks for. */
function leadOn(
  walk: Walk,
  step: 'ingress' | 'egress',
  here: CompiledZone,
  there: CompiledZone,
  proxy: Row,
  way: Way,
  at: EndpointModel,
): readonly EndpointModel[] {
  const sni = sniOf(way.mesh, way.tags)
  const compiled = there.look(proxy)
  const { model } = compiled
  const listener = model?.listeners[0]
  const chain = listener?.chains.find((one) =>
    one.match?.serverNames?.some((name) => name.toLowerCase() === sni.toLowerCase()),
  )
  const who = `${called(proxy)} of zone ${there.name}`
  if (!listener || !chain || chain.content.type !== 'tcp')
    stop(
      step,
      `${who} leads nobody who asks for ${sni}`,
      `zone ${there.name} has no ready instance with these tags, or does not know the route yet: look at \`zonemesh status\``,
      [proxy],
    )
  const { cluster, subset = {} } = chain.content
  const found = (model?.assignments.find((one) => one.cluster === cluster)?.endpoints ?? []).filter((one) =>
    fits(subset, one.tags),
  )
  if (found.length === 0)
    stop(step, `${who} has nobody for ${sni}`, 'look at the instances: they are gone or not ready', [proxy])
  const running = walk.compareRunning(step, compiled, typeUrls.listener, listener.name, [proxy])
  walk.pass(
    step,
    `${who} at ${at.address}:${at.port} leads ${sni} to ${found.map((one) => `${one.address}:${one.port}`).join(', ')}`,
    here.name,
    [proxy],
    [running],
  )
  return found
}
