import { byCodeUnit, shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { type DataplaneSpec, isReady } from '../kinds/dataplane.ts'
import type { AvailableServiceSpec } from '../kinds/internal.ts'
import { parseTags, sortedTags, tagsText } from '../match/tags.ts'
import { inZone } from './meshes.ts'

/** A tag set in a mesh. */
interface Offer {
  readonly mesh: string
  readonly text: string
}

/** The name of an announcement: the same for the same tags, in every zone. */
export const announcementName = (tags: Tags): string => shortHash(tagsText(tags))

/**
 * What this zone announces to others: per mesh and full set of tags, how many ready inbounds have it. One row each. A
 * gateway announces nothing, it has no inbounds.
 */
export function createAnnouncements({ zone }: { readonly zone: string }) {
  const offersByDataplane = new Map<string, readonly Offer[]>()
  const countByOffer = new Map<string, number>()
  const announcedByOffer = new Map<string, number>()
  const offerByRow = new Map<string, string>()
  /** Offers whose row does not say what is counted: the next preview repairs them. */
  const stale = new Set<string>()

  const offerKey = ({ mesh, text }: Offer): string => `${mesh} ${text}`
  const isOwnDataplane = (key: ResourceKey): boolean => key.kind === 'Dataplane' && key.origin === zone

  function rowOf(offer: string, instances: number): Change {
    const split = offer.indexOf(' ')
    const tags = parseTags(offer.slice(split + 1))
    const key = { origin: zone, kind: 'AvailableService', mesh: offer.slice(0, split), name: announcementName(tags) }
    return instances === 0 ? { op: 'delete', key } : { op: 'put', key, labels: {}, spec: { tags, instances } }
  }

  function note(offer: string): void {
    if ((countByOffer.get(offer) ?? 0) === (announcedByOffer.get(offer) ?? 0)) stale.delete(offer)
    else stale.add(offer)
  }

  function count(offers: readonly Offer[], step: 1 | -1): void {
    for (const offer of offers) {
      const key = offerKey(offer)
      const now = (countByOffer.get(key) ?? 0) + step
      if (now === 0) countByOffer.delete(key)
      else countByOffer.set(key, now)
      note(key)
    }
  }

  function applyDataplane({ key, row }: Version): void {
    const text = keyText(key)
    count(offersByDataplane.get(text) ?? [], -1)
    const offers = row ? offersOf(key.mesh, row.spec, zone) : []
    count(offers, 1)
    if (offers.length > 0) offersByDataplane.set(text, offers)
    else offersByDataplane.delete(text)
  }

  function applyAnnouncement(key: ResourceKey, row: Row | undefined): void {
    const text = keyText(key)
    // This plane writes these rows itself. A tombstone has no tags; the key tells which offer it was.
    const spec = row?.spec as AvailableServiceSpec | undefined
    const offer = spec ? offerKey({ mesh: key.mesh, text: tagsText(spec.tags) }) : offerByRow.get(text)
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
    /** The announcements that follow from these changes. Changes nothing here. */
    preview(changes: readonly Change[]): readonly Change[] {
      const offersAfter = new Map<string, readonly Offer[]>()
      for (const change of changes) {
        if (!isOwnDataplane(change.key)) continue
        offersAfter.set(keyText(change.key), change.op === 'put' ? offersOf(change.key.mesh, change.spec, zone) : [])
      }
      const steps = new Map<string, number>([...stale].map((offer) => [offer, 0]))
      const step = (offers: readonly Offer[], by: number) => {
        for (const offer of offers) steps.set(offerKey(offer), (steps.get(offerKey(offer)) ?? 0) + by)
      }
      for (const [text, offers] of offersAfter) {
        step(offersByDataplane.get(text) ?? [], -1)
        step(offers, 1)
      }
      return [...steps]
        .map(([offer, by]) => ({ offer, instances: (countByOffer.get(offer) ?? 0) + by }))
        .filter(({ offer, instances }) => instances !== (announcedByOffer.get(offer) ?? 0))
        .sort((a, b) => byCodeUnit(a.offer, b.offer))
        .map(({ offer, instances }) => rowOf(offer, instances))
    },
    /** Takes over what was written; also how it loads at start. */
    applied(versions: readonly Version[]): void {
      for (const version of versions) {
        const { key, row } = version
        if (isOwnDataplane(key)) applyDataplane(version)
        else if (key.kind === 'AvailableService' && key.origin === zone) {
          applyAnnouncement(key, row)
        }
      }
    },
  }
}
export type Announcements = ReturnType<typeof createAnnouncements>

/** Tag sets of the ready inbounds, one entry each. A spec that is not one offers nothing. */
function offersOf(mesh: string, spec: unknown, zone: string): readonly Offer[] {
  try {
    // Admission stored what the schema returned; what is not so throws.
    const { networking } = spec as DataplaneSpec
    return (networking?.inbound ?? [])
      .filter((one) => isReady(one) && one.tags?.[serviceTag])
      .map((one) => ({ mesh, text: tagsText(inZone(one.tags ?? {}, zone)) }))
  } catch {
    return []
  }
}

/** The list that a ZoneIngress shows: the announcements of its zone, by mesh and tags. */
export function composeAvailableServices(rows: readonly Row[]): readonly {
  readonly tags: Tags
  readonly instances: number
  readonly mesh: string
}[] {
  return rows
    .map((row) => {
      // Only planes write these rows.
      const { tags, instances } = row.spec as AvailableServiceSpec
      return { tags, instances, mesh: row.key.mesh }
    })
    .sort((a, b) => byCodeUnit(a.mesh, b.mesh) || byCodeUnit(flat(a.tags), flat(b.tags)))
}

const flat = (tags: Tags): string =>
  sortedTags(tags)
    .map(([key, value]) => `${key}=${value}`)
    .join('&')
