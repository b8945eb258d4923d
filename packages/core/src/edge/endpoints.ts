import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { because, becauseOfAll, type Decided } from '../kinds/because.ts'
import {
  arrivingLabel,
  isIp,
  lostLabel,
  meshTag,
  protocolTag,
  serviceTag,
  type Tags,
  zoneTag,
} from '../kinds/common.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, isReady } from '../kinds/dataplane-spec.ts'
import { expectCount, expectIp, expectPort } from '../kinds/expect.ts'
import type { MeshName, ServiceName } from '../kinds/identities.ts'
import { availableService } from '../kinds/internal.ts'
import type { TypedRow } from '../kinds/kind.ts'
import { ranges } from '../kinds/ranges.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import { type ZoneEgressSpec, zoneEgress } from '../kinds/zone-egress.ts'
import { type ZoneIngressSpec, zoneIngress } from '../kinds/zone-ingress.ts'
import type { AssignmentModel, EndpointModel, SocketAddress } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { inZone, type Meshes } from './meshes.ts'

/** An address that accepts connections, unless its proxy was lost; see `EndpointModel.probed`. */
interface Place extends SocketAddress, Decided {
  readonly probed?: true
}

export interface Instance extends Place {
  readonly tags: Tags
  readonly ready: boolean
}

/** A tag set that another zone serves, and the addresses of its ingresses. */
interface RemoteOffer extends Decided {
  readonly zone: string
  readonly tags: Tags
  readonly instances: number
  readonly ingresses: readonly Place[]
}

/** Instances of this zone that other meshes may call. */
export type CrossMeshInstances = (mesh: MeshName, service: ServiceName) => readonly Instance[]

/**
 * The endpoints of services. Local instances are endpoints themselves. Instances in other zones are reached through the
 * ingresses of their zone, or through the egresses of this zone if the mesh requires it. Tags with a mesh select only
 * cross-mesh listeners of that mesh's gateways; tags without a mesh never do.
 */
export function createEndpoints(units: Units, view: View, meshes: Meshes, crossMesh: CrossMeshInstances) {
  const local = units.family('local instances', (mesh: MeshName, service: ServiceName): readonly Instance[] =>
    view
      .rows(dataplane, ranges.serving(mesh, service))
      .flatMap((row) => units.attempt(keyText(row.key), () => instancesOf(row, service, view.zone)) ?? []),
  )

  /** The distinct addresses in these rows. Instances behind one load balancer share an address and count once. */
  function distinct<Spec>(
    rows: readonly TypedRow<Spec>[],
    placeOf: (spec: Spec) => SocketAddress | undefined,
  ): readonly Place[] {
    const found = new Map<string, Place>()
    for (const row of rows) {
      const key = keyText(row.key)
      const at = units.attempt(key, () => placeOf(row.spec))
      if (!at) continue
      const before = found.get(`${at.address}:${at.port}`)
      // An address is probed only if all its instances are lost.
      const isProbed = probedIfLost(row.labels).probed && (!before || before.probed)
      const place = { ...at, because: because(key, ...(before?.because ?? [])) }
      found.set(`${at.address}:${at.port}`, isProbed ? { ...place, probed: true } : place)
    }
    return [...found.values()]
  }

  const coordinates = units.family('ingress coordinates', (zone: string): readonly Place[] =>
    distinct(view.rows(zoneIngress, ranges.ingresses(zone)), coordinateOf),
  )

  /** The announcements of other zones for a service, or for a gateway with cross-mesh listeners. */
  const offers = units.family('remote offers', (mesh: MeshName, service: ServiceName, isCrossMesh: boolean) => {
    // Ingresses route by SNI, so other zones are reachable only over TLS.
    if (!meshes.isSecured(mesh)) return []
    const announced = isCrossMesh ? ranges.crossMeshAnnounced(mesh, service) : ranges.announced(mesh, service)
    return view.rows(availableService, announced).flatMap((row): readonly RemoteOffer[] => {
      const zone = row.key.origin
      if (!meshes.zoneEnabled(zone)) return []
      const ingresses = coordinates(zone)
      const { tags } = row.spec
      const key = keyText(row.key)
      const offer = units.attempt(key, () => ({
        tags,
        instances: expectCount('instances', row.spec.instances),
        because: [key],
      }))
      return offer && ingresses.length > 0 && offer.instances > 0 ? [{ zone, ingresses, ...offer }] : []
    })
  })

  /** The egresses of this zone. */
  const egresses = units.family('egress coordinates', (): readonly Place[] =>
    distinct(
      view.rows(zoneEgress, ranges.egresses).filter(({ labels }) => labels[arrivingLabel] === undefined),
      listensAt,
    ),
  )

  /** The number of paths into other zones for a service. Each path carries the weight of all instances behind it. */
  const ways = units.family('ways', (mesh: MeshName, service: ServiceName, isCrossMesh: boolean): number => {
    if (meshes.viaEgress(mesh)) return Math.max(1, egresses().length)
    const found = offers(mesh, service, isCrossMesh).flatMap((offer) =>
      offer.ingresses.map((one) => `${one.address}:${one.port}`),
    )
    return Math.max(1, new Set(found).size)
  })

  /** Resolves a tag set: its service, and the announcements of other zones that match. */
  function ask(mesh: MeshName, wanted: TagSet) {
    const service = serviceOf(wanted)
    const isCrossMesh = wanted.tags[meshTag] !== undefined
    const fits = ({ tags }: { readonly tags: Tags }): boolean => hasAll(tags, wanted.tags)
    return { service, isCrossMesh, fits, far: () => offers(mesh, service, isCrossMesh).filter(fits) }
  }

  const endpoints = units.family('endpoints', (mesh: MeshName, wanted: TagSet): readonly EndpointModel[] => {
    const { service, isCrossMesh, fits, far: elsewhere } = ask(mesh, wanted)
    const all = isCrossMesh ? crossMesh(mesh, service) : local(mesh, service)
    const fitting = all.filter((one) => one.ready && fits(one))
    const here = isCrossMesh ? oneEach(fitting) : fitting
    const weight = here.length > 0 ? ways(mesh, service, isCrossMesh) : 1
    const far = elsewhere()
    return [
      ...here.map((one) => ownEndpoint(one, weight)),
      ...(meshes.viaEgress(mesh) ? throughEgresses(far, egresses(), view.zone) : throughIngresses(far)),
    ].sort(compareEndpoints)
  })

  const ownEndpoint = ({ address, port, tags, probed, because }: Instance, weight: number): EndpointModel => ({
    ...(probed ? { probed } : {}),
    because,
    address,
    port,
    weight,
    zone: tags[zoneTag] ?? view.zone,
    tags: withoutService(tags),
  })

  return {
    endpoints,
    assignment: units.family(
      'assignment',
      (cluster: string, mesh: MeshName, wanted: TagSet): AssignmentModel =>
        assignmentOf(cluster, endpoints(mesh, wanted)),
    ),
    /** The endpoints of an ingress: only ready instances of this zone. */
    ownAssignment: units.family(
      'own assignment',
      (cluster: string, mesh: MeshName, service: ServiceName): AssignmentModel =>
        assignmentOf(
          cluster,
          local(mesh, service)
            .filter((one) => one.ready)
            .map((one) => ownEndpoint(one, 1))
            .sort(compareEndpoints),
        ),
    ),
    /** The cross-mesh listeners of this zone with these tags. */
    ownCrossMeshAssignment: units.family(
      'own cross-mesh assignment',
      (cluster: string, mesh: MeshName, wanted: TagSet): AssignmentModel => {
        const fitting = crossMesh(mesh, serviceOf(wanted)).filter((one) => hasAll(one.tags, wanted.tags))
        return assignmentOf(
          cluster,
          oneEach(fitting)
            .map((one) => ownEndpoint(one, 1))
            .sort(compareEndpoints),
        )
      },
    ),
    /** The tag sets of this zone's cross-mesh listeners, without the mesh tag, as clients request them. */
    ownCrossMeshTagSets: units.family(
      'own cross-mesh tag sets',
      (mesh: MeshName, service: ServiceName): readonly Tags[] =>
        crossMesh(mesh, service).map(({ tags: { [meshTag]: _mesh, ...tags } }) => tags),
    ),
    /** The endpoints of an egress: the ingresses of other zones that serve these tags. */
    remoteAssignment: units.family(
      'remote assignment',
      (cluster: string, mesh: MeshName, wanted: TagSet): AssignmentModel =>
        assignmentOf(cluster, throughIngresses(ask(mesh, wanted).far()).sort(compareEndpoints)),
    ),
    /** The full tag sets of ready instances of this zone. */
    ownTagSets: units.family('own tag sets', (mesh: MeshName, service: ServiceName): readonly Tags[] =>
      local(mesh, service)
        .filter((one) => one.ready)
        .map((one) => one.tags),
    ),
    /**
     * The protocol that all instances support. Instances that are not ready count too, so that the configuration of a
     * service does not change while it is down.
     */
    protocol: units.family('protocol', (mesh: MeshName, service: ServiceName): string => {
      const remote = offers(mesh, service, false)
      const all = [...local(mesh, service), ...remote].map((one) => one.tags[protocolTag] ?? 'tcp')
      return all.reduce<string | undefined>((a, b) => (a === undefined ? b : commonProtocol(a, b)), undefined) ?? 'tcp'
    }),
  }
}
export type Endpoints = ReturnType<typeof createEndpoints>

const assignmentOf = (cluster: string, endpoints: readonly EndpointModel[]): AssignmentModel => ({
  cluster,
  endpoints,
  because: becauseOfAll(endpoints),
})

/** Whether `tags` contains all of `wanted`. */
export const hasAll = (tags: Tags, wanted: Tags): boolean =>
  Object.entries(wanted).every(([key, value]) => tags[key] === value)

/** Merges the hosts of one port into one endpoint. */
function oneEach(instances: readonly Instance[]): readonly Instance[] {
  const found = new Map<string, Instance>()
  for (const one of instances) {
    const key = `${one.address} ${one.port}`
    const before = found.get(key)
    found.set(
      key,
      before ? { ...before, tags: common(before.tags, one.tags), because: becauseOfAll([before, one]) } : one,
    )
  }
  return [...found.values()]
}

/** Marks the endpoints of a row for probing if its proxy is lost; see `lostLabel`. */
export const probedIfLost = (labels: Readonly<Record<string, string>>): { readonly probed?: true } =>
  labels[lostLabel] === undefined ? {} : { probed: true }

function instancesOf({ key, labels, spec }: TypedRow<DataplaneSpec>, service: string, zone: string): Instance[] {
  const { networking } = spec
  const because = [keyText(key)]
  return (networking?.inbound ?? []).flatMap((one) => {
    if (one.tags?.[serviceTag] !== service || one.state === 'Ignored') return []
    const address = networking?.advertisedAddress ?? one.address ?? networking?.address ?? ''
    expectIp('networking.address', address)
    const port = expectPort('networking.inbound.port', one.port)
    return [{ address, port, tags: inZone(one.tags, zone), ready: isReady(one), because, ...probedIfLost(labels) }]
  })
}

function listensAt({ networking }: ZoneEgressSpec): SocketAddress {
  const { address = '', port } = networking ?? {}
  expectIp('networking.address', address)
  return { address, port: expectPort('networking.port', port) }
}

/** The address that other zones connect to; undefined while the ingress does not advertise one. */
function coordinateOf({ networking }: ZoneIngressSpec): SocketAddress | undefined {
  const { advertisedAddress: address, advertisedPort: port } = networking ?? {}
  if (!address || !port) return undefined
  if (!isIp(address)) throw new Error(`networking.advertisedAddress: expected an IP address, found ${address}`)
  return { address, port: expectPort('networking.advertisedPort', port) }
}

/** One endpoint per ingress and zone, with the weight of all instances behind it and the tags they have in common. */
function throughIngresses(offers: readonly RemoteOffer[]): EndpointModel[] {
  const found = new Map<string, { readonly ingress: Place; readonly offers: RemoteOffer[] }>()
  for (const offer of offers) {
    for (const ingress of offer.ingresses) {
      const key = `${offer.zone} ${ingress.address} ${ingress.port}`
      const before = found.get(key)
      if (before) before.offers.push(offer)
      else found.set(key, { ingress, offers: [offer] })
    }
  }
  return [...found.values()].flatMap(({ ingress, offers: [first, ...rest] }) =>
    first ? [{ ...ingress, zone: first.zone, ...together(ingress, first, rest) }] : [],
  )
}

/** Merges several offers behind one address: the sum of their weights, and the tags they have in common. */
const together = (place: Place, first: RemoteOffer, rest: readonly RemoteOffer[]) => ({
  weight: rest.reduce((sum, { instances }) => sum + instances, first.instances),
  tags: rest.reduce((all, one) => common(all, one.tags), withoutService(first.tags)),
  because: becauseOfAll([place, first, ...rest]),
})

/**
 * One endpoint per egress of this zone, each with the weight of all instances in other zones and the tags they have in
 * common.
 */
function throughEgresses(offers: readonly RemoteOffer[], egresses: readonly Place[], zone: string): EndpointModel[] {
  const [first, ...rest] = offers
  if (!first) return []
  return egresses.map((place) => ({ ...place, zone, through: 'egress', ...together(place, first, rest) }))
}

const common = (a: Tags, b: Tags): Tags =>
  Object.fromEntries(Object.entries(a).filter(([key, value]) => b[key] === value))

function withoutService({ [serviceTag]: _service, ...rest }: Tags): Tags {
  return rest
}

const compareEndpoints = (a: EndpointModel, b: EndpointModel): number =>
  byCodeUnit(a.zone, b.zone) || byCodeUnit(a.address, b.address) || a.port - b.port

/** The protocols that a protocol is built on, most specific first. */
const stacks: Record<string, readonly string[]> = {
  grpc: ['grpc', 'http2', 'tcp'],
  http2: ['http2', 'tcp'],
  http: ['http', 'tcp'],
  kafka: ['kafka', 'tcp'],
}

function commonProtocol(a: string, b: string): string {
  if (a === b) return a
  const other = stacks[b] ?? ['tcp']
  return (stacks[a] ?? ['tcp']).find((one) => other.includes(one)) ?? 'tcp'
}
