import { globalOrigin, type Origin, type ResourceKey, type Row } from '../../resource/resource.ts'
import { syncKinds } from './rounds.ts'

/**
 * The direction in which rows of a kind travel. Rows of a `zone-relayed` kind go to the global and on to the other
 * zones.
 */
export type Travel = 'global-to-zones' | 'zone-to-global' | 'zone-relayed' | 'internal'

/** The rules of a plane for its kinds. A row of an unknown kind is kept if a peer sends it, and never sent. */
export interface SightRules {
  travelOf(kind: string): Travel | undefined
  /** Kinds of which a zone sees only some rows of global origin, depending on the content of the row. */
  readonly seenBy?: ReadonlyMap<string, (row: Row, zone: string) => boolean>
}

/** What the peer of a session sees. It depends on the row and on constants of the session, never on other rows. */
export interface Sight {
  /** The only origin whose rows the peer sees; rows of other origins need not be read. Undefined: several origins. */
  readonly origin?: Origin
  /** Whether the peer sees a row with this key: never, always, or depending on the content of the row. */
  reach(key: ResourceKey): 'never' | 'always' | 'by-row'
  sees(row: Row): boolean
  /** Whether the peer may send, and name completely, rows of this origin. */
  maySend(origin: Origin): boolean
  /** Whether the peer may send a row with this key. */
  accepts(key: ResourceKey): boolean
}

/** What a zone sees of the global's store: rows of the global and of other zones, never its own. */
export function sightOfZone(rules: SightRules, zone: string): Sight {
  const reach = ({ origin, kind }: ResourceKey) => {
    const travel = travelOf(rules, kind)
    if (origin !== globalOrigin) return travel === 'zone-relayed' && origin !== zone ? 'always' : 'never'
    if (travel !== 'global-to-zones') return 'never'
    return rules.seenBy?.has(kind) ? 'by-row' : 'always'
  }
  return {
    reach,
    sees(row) {
      const found = reach(row.key)
      return found === 'by-row' ? (rules.seenBy?.get(row.key.kind)?.(row, zone) ?? false) : found === 'always'
    },
    maySend: (origin) => origin === zone,
    accepts: (key) => key.origin === zone && isUpward(travelOf(rules, key.kind) ?? 'zone-to-global'),
  }
}

/** What the global sees of a zone's store: the zone's own rows of the kinds that go to the global. */
export function sightOfGlobal(rules: SightRules, zone: string): Sight {
  const reach = ({ origin, kind }: ResourceKey) => {
    const travel = travelOf(rules, kind)
    return origin === zone && travel !== undefined && isUpward(travel) ? 'always' : 'never'
  }
  return {
    origin: zone,
    reach,
    sees: (row) => reach(row.key) === 'always',
    maySend: (origin) => origin !== zone,
    accepts({ origin, kind }) {
      if (origin === zone) return false
      const downward = origin === globalOrigin ? 'global-to-zones' : 'zone-relayed'
      return (travelOf(rules, kind) ?? downward) === downward
    },
  }
}

/** The rows of sync itself never travel, regardless of the rules of a plane. */
const travelOf = (rules: SightRules, kind: string): Travel | undefined =>
  syncKinds.has(kind) ? 'internal' : rules.travelOf(kind)

const isUpward = (travel: Travel) => travel === 'zone-to-global' || travel === 'zone-relayed'
