import { byCodeUnit, shortHash } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { crossMeshListeners, crossMeshTags } from '../kinds/cross-mesh.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole, isReady } from '../kinds/dataplane-spec.ts'
import { availableService } from '../kinds/internal.ts'
import { createInterning, type Interned } from '../kinds/interned.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import type { MeshGatewaySpec } from '../kinds/mesh-gateway-spec.ts'
import { parsedRows, specOf } from '../kinds/row.ts'
import { sortedTags, tagsText } from '../kinds/tags.ts'
import { type GatewayCandidate, gatewayRank, isBetterGateway } from '../match/gateways.ts'
import { inZone } from './meshes.ts'

/** A tag set in a mesh. */
interface Offer extends Interned {
  readonly mesh: string
  readonly tags: Tags
}

/** Interns offers. */
const createOffers = () =>
  createInterning(
    ({ mesh, tags }: Pick<Offer, 'mesh' | 'tags'>) => `${mesh} ${tagsText(tags)}`,
    (one, { mesh, tags }): Offer => ({ ...one, mesh, tags: Object.fromEntries(sortedTags(tags)) }),
  )
type Offers = ReturnType<typeof createOffers>

/** The name of an announcement. It depends only on the tags, so it is the same in every zone. */
export const announcementName = (tags: Tags): string => shortHash(tagsText(tags))

/** The parts of a MeshGateway that decide announcements. */
interface Gateway {
  readonly key: ResourceKey
  readonly createdAtMs: number
  readonly spec: MeshGatewaySpec
}

/** The gateways of one mesh, by key text. */
type Gateways = ReadonlyMap<string, Gateway>
const noGateways: Gateways = new Map()

/**
 * The services that this zone announces to other zones. There is one row per mesh and full tag set, with the number of
 * ready inbounds that have the tags, or of gateways that have a cross-mesh listener with the tags. Other listeners of
 * gateways are not announced.
 */
export function createAnnouncements({ zone }: { readonly zone: string }) {
  const offersByDataplane = new Map<string, readonly Offer[]>()
  const gatewaysByMesh = new Map<string, Map<string, Gateway>>()
  /** Builtin gateways of this zone by mesh and key text. */
  const builtinByMesh = new Map<string, Map<string, DataplaneSpec>>()
  const offerOf = createOffers()
  const countByOffer = new Map<Offer, number>()
  const announcedByOffer = new Map<Offer, number>()
  const offerByRow = new Map<string, Offer>()
  /** Offers whose row differs from the count. The next preview repairs them. */
  const stale = new Set<Offer>()

  const isOwnDataplane = (key: ResourceKey): boolean => key.kind === 'Dataplane' && key.origin === zone

  function rowOf({ mesh, tags }: Offer, instances: number): Change {
    const key = { origin: zone, kind: 'AvailableService', mesh, name: announcementName(tags) }
    return instances === 0 ? { op: 'delete', key } : { op: 'put', key, labels: {}, spec: { tags, instances } }
  }

  function note(offer: Offer): void {
    if ((countByOffer.get(offer) ?? 0) === (announcedByOffer.get(offer) ?? 0)) stale.delete(offer)
    else stale.add(offer)
  }

  function count(offers: readonly Offer[], step: 1 | -1): void {
    for (const offer of offers) {
      const now = (countByOffer.get(offer) ?? 0) + step
      if (now === 0) countByOffer.delete(offer)
      else countByOffer.set(offer, now)
      note(offer)
    }
  }

  const isGateway = (key: ResourceKey): boolean =>
    key.kind === 'MeshGateway' && (key.origin === globalOrigin || key.origin === zone)

  function applyDataplane(mesh: string, text: string, spec: DataplaneSpec | undefined): void {
    count(offersByDataplane.get(text) ?? [], -1)
    const offers = offersOf(mesh, spec, zone, gatewaysByMesh.get(mesh) ?? noGateways, offerOf)
    count(offers, 1)
    if (offers.length > 0) offersByDataplane.set(text, offers)
    else offersByDataplane.delete(text)
    const builtin = builtinOf(spec)
    const before = builtinByMesh.get(mesh)
    if (!builtin) before?.delete(text)
    else builtinByMesh.set(mesh, (before ?? new Map<string, DataplaneSpec>()).set(text, builtin))
  }

  function applyGateway({ key, row }: Version): void {
    const text = keyText(key)
    const gateways = gatewaysByMesh.get(key.mesh) ?? new Map<string, Gateway>()
    const spec = row && specOf(meshGateway, row)
    if (row && spec) gateways.set(text, { key, createdAtMs: row.stamp.createdAtMs, spec })
    else gateways.delete(text)
    gatewaysByMesh.set(key.mesh, gateways)
  }

  /** The gateways after these changes, for each mesh in which the changes touch a gateway. */
  function gatewaysAfter(changes: readonly Change[]): ReadonlyMap<string, Gateways> {
    const after = new Map<string, Map<string, Gateway>>()
    for (const change of changes) {
      const { key } = change
      if (!isGateway(key) || change.op === 'check') continue
      const gateways = after.get(key.mesh) ?? new Map(gatewaysByMesh.get(key.mesh))
      after.set(key.mesh, gateways)
      const text = keyText(key)
      const spec = change.op === 'put' ? specOf(meshGateway, change) : undefined
      if (change.op === 'put' && spec) {
        // A change without a stamp creates a row here, or keeps the creation time of an existing row.
        const createdAtMs = change.stamp?.createdAtMs ?? gateways.get(text)?.createdAtMs ?? Number.POSITIVE_INFINITY
        gateways.set(text, { key, createdAtMs, spec })
      } else gateways.delete(text)
    }
    return after
  }

  function applyAnnouncement(key: ResourceKey, row: Row | undefined): void {
    const text = keyText(key)
    // A tombstone has no tags, so the key identifies the offer.
    const spec = row && specOf(availableService, row)
    const offer = spec ? offerOf({ mesh: key.mesh, tags: spec.tags }) : offerByRow.get(text)
    if (offer === undefined) return
    if (spec) {
      offerByRow.set(text, offer)
      announcedByOffer.set(offer, spec.instances)
    } else {
      offerByRow.delete(text)
      announcedByOffer.delete(offer)
    }
    note(offer)
  }

  return {
    /** The announcements that follow from these changes. Does not change any state. */
    preview(changes: readonly Change[]): readonly Change[] {
      const offersAfter = new Map<string, readonly Offer[]>()
      const changedGateways = gatewaysAfter(changes)
      const offersIn = (mesh: string, spec: DataplaneSpec | undefined): readonly Offer[] =>
        offersOf(mesh, spec, zone, changedGateways.get(mesh) ?? gatewaysByMesh.get(mesh) ?? noGateways, offerOf)
      for (const mesh of changedGateways.keys())
        for (const [text, spec] of builtinByMesh.get(mesh) ?? []) offersAfter.set(text, offersIn(mesh, spec))
      for (const change of changes) {
        if (!isOwnDataplane(change.key)) continue
        offersAfter.set(
          keyText(change.key),
          change.op === 'put' ? offersIn(change.key.mesh, specOf(dataplane, change)) : [],
        )
      }
      const steps = new Map<Offer, number>([...stale].map((offer) => [offer, 0]))
      const step = (offers: readonly Offer[], by: number) => {
        for (const offer of offers) steps.set(offer, (steps.get(offer) ?? 0) + by)
      }
      for (const [text, offers] of offersAfter) {
        step(offersByDataplane.get(text) ?? [], -1)
        step(offers, 1)
      }
      return [...steps]
        .map(([offer, by]) => ({ offer, instances: (countByOffer.get(offer) ?? 0) + by }))
        .filter(({ offer, instances }) => instances !== (announcedByOffer.get(offer) ?? 0))
        .sort((a, b) => byCodeUnit(a.offer.text, b.offer.text))
        .map(({ offer, instances }) => rowOf(offer, instances))
    },
    /** Applies written versions. It also loads the state at start. */
    applied(versions: readonly Version[]): void {
      const gateways = versions.filter(({ key }) => isGateway(key))
      for (const version of gateways) applyGateway(version)
      for (const mesh of new Set(gateways.map(({ key }) => key.mesh)))
        for (const [text, spec] of builtinByMesh.get(mesh) ?? []) applyDataplane(mesh, text, spec)
      for (const { key, row } of versions) {
        if (isOwnDataplane(key)) applyDataplane(key.mesh, keyText(key), row && specOf(dataplane, row))
        else if (key.kind === 'AvailableService' && key.origin === zone) {
          applyAnnouncement(key, row)
        }
      }
    },
  }
}
export type Announcements = ReturnType<typeof createAnnouncements>

const builtinOf = (spec: DataplaneSpec | undefined): DataplaneSpec | undefined =>
  spec && dataplaneRole(spec) === 'builtin' ? spec : undefined

/** The gateway that serves these tags. An invalid gateway does not hide a valid one. */
function gatewayOf(gateways: Gateways, tags: Tags): Gateway | undefined {
  let best: (GatewayCandidate & { readonly gateway: Gateway }) | undefined
  for (const [key, gateway] of gateways) {
    // The global's gateway hides one of the zone with the same name.
    const isHidden =
      gateway.key.origin !== globalOrigin && gateways.has(keyText({ ...gateway.key, origin: globalOrigin }))
    const rank = isHidden ? undefined : rankOf(gateway.spec, tags)
    const candidate = rank && { key, createdAtMs: gateway.createdAtMs, rank, gateway }
    if (candidate && (!best || isBetterGateway(candidate, best))) best = candidate
  }
  return best?.gateway
}

function rankOf(spec: MeshGatewaySpec, tags: Tags) {
  try {
    return gatewayRank(spec, tags)
  } catch {
    return undefined
  }
}

/** The tag sets of the cross-mesh listeners of a builtin gateway. */
function crossMeshTagSets(mesh: string, spec: DataplaneSpec, zone: string, gateways: Gateways): readonly Tags[] {
  const own = inZone(spec.networking?.gateway?.tags ?? {}, zone)
  const gateway = gatewayOf(gateways, own)
  return (gateway ? crossMeshListeners(gateway.spec) : []).map(({ port, tags }) =>
    crossMeshTags(mesh, port, { ...own, ...tags }),
  )
}

/** One offer per ready inbound, or the distinct offers of a gateway. A row that cannot be parsed offers nothing. */
function offersOf(
  mesh: string,
  spec: DataplaneSpec | undefined,
  zone: string,
  gateways: Gateways,
  offerOf: Offers,
): readonly Offer[] {
  if (spec && builtinOf(spec))
    return [...new Set(crossMeshTagSets(mesh, spec, zone, gateways).map((tags) => offerOf({ mesh, tags })))]
  return (spec?.networking?.inbound ?? [])
    .filter((one) => isReady(one) && one.tags?.[serviceTag])
    .map((one) => offerOf({ mesh, tags: inZone(one.tags ?? {}, zone) }))
}

/** The list that a ZoneIngress shows: the announcements of its zone, sorted by mesh and tags. */
export function composeAvailableServices(rows: readonly Row[]): readonly {
  readonly tags: Tags
  readonly instances: number
  readonly mesh: string
}[] {
  return parsedRows(availableService, rows)
    .map(({ key: { mesh }, spec: { tags, instances } }) => ({ tags, instances, mesh }))
    .sort((a, b) => byCodeUnit(a.mesh, b.mesh) || byCodeUnit(flat(a.tags), flat(b.tags)))
}

const flat = (tags: Tags): string =>
  sortedTags(tags)
    .map(([key, value]) => `${key}=${value}`)
    .join('&')
