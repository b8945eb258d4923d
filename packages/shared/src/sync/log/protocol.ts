import { byCodeUnit, err, ok, type Result } from '../../base/base.ts'

/** The versions of the sync protocol that a process speaks, and the optional parts of it that it can use. */
export interface ProtocolOffer {
  readonly min: number
  readonly max: number
  readonly features: readonly string[]
}

/** The version and the features that a session uses. */
export interface Agreement {
  readonly protocol: number
  readonly features: readonly string[]
}

/**
 * The versions and features of this build. A change of `sync.proto` that an older build can ignore needs no new
 * version. A change that an older build would misread needs one, and `min` stays until no older build is supported. An
 * optional part is a feature, which a session uses if both peers name it.
 */
export const ownProtocol: ProtocolOffer = { min: 1, max: 1, features: ['echo', 'query'] }

/** The highest common version and the common features, or a sentence that names both ranges and the side to upgrade. */
export function agree(global: ProtocolOffer, zone: ProtocolOffer, zoneName: string): Result<Agreement, string> {
  const protocol = Math.min(global.max, zone.max)
  if (protocol < Math.max(global.min, zone.min)) {
    const older = zone.max < global.min ? `zone "${zoneName}"` : 'the global'
    return err(
      `the global speaks sync protocol ${rangeText(global)} and zone "${zoneName}" speaks ${rangeText(zone)}: upgrade ${older}`,
    )
  }
  const features = global.features.filter((name) => zone.features.includes(name)).sort(byCodeUnit)
  return ok({ protocol, features })
}

/** A range of versions as text for a sentence. */
export const rangeText = ({ min, max }: ProtocolOffer): string => (min === max ? `${max}` : `${min} to ${max}`)
