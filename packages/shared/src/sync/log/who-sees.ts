import { globalOrigin, type Origin, type ResourceKey, type Row } from '../../resource/resource.ts'
import { syncKinds } from './rounds.ts'

/** Which way rows of a kind travel; `zone-relayed` ones go up and on to the other zones. */
export type Travel = 'global-to-zones' | 'zone-to-global' | 'zone-relayed' | 'internal'

/** What a plane says about its kinds. An unknown kind is kept when a peer sends it, and never sent. */
export interface SightRules {
  travelOf(kind: string): Travel | undefined
  /** Kinds of which a zone sees only some rows of global origin, by what the row says. */
  readonly seenBy?: ReadonlyMap<string, (row: Row, zone: string) => boolean>
}

/** Who sees what in one session: functions of the row and of fixed facts of the session, never of other rows. */
export interface Sight {
  /** The peer sees rows of this origin alone; the others need not be read for it. */
  readonly origin?: Origin
  /** Whether the peer may see a row with this key: never, always, or by what the row says. */
  reach(key: ResourceKey): 'never' | 'always' | 'by-row'
  sees(row: Row): boolean
  /** Whether the peer may send, and name completely, rows of this origin. */
  speaksFor(origin: Origin): boolean
  /** Whether the peer may send a row with this key. */
  accepts(key: ResourceKey): boolean
}

/** The sight of a zone, as the global holds it: the rows of the global and of the other zones, but never its own. */
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
    speaksFor: (origin) => origin === zone,
    accepts: (key) => key.origin === zone && isUpward(travelOf(rules, key.kind) ?? 'zone-to-global'),
  }
}

/** The sight of the global, as a zone holds it: the zone's own rows, and only of kinds that go up. */
export function sightOfGlobal(rules: SightRules, zone: string): Sight {
  const reach = ({ origin, kind }: ResourceKey) => {
    const travel = travelOf(rules, kind)
    return origin === zone && travel !== undefined && isUpward(travel) ? 'always' : 'never'
  }
  return {
    origin: zone,
    reach,
    sees: (row) => reach(row.key) === 'always',
    speaksFor: (origin) => origin !== zone,
    accepts({ origin, kind }) {
      if (origin === zone) return false
      const downward = origin === globalOrigin ? 'global-to-zones' : 'zone-relayed'
      return (travelOf(rules, kind) ?? downward) === downward
    },
  }
}

/** Where sync itself stands is nobody else's business, whatever a plane or a peer says. */
const travelOf = (rules: SightRules, kind: string): Travel | undefined =>
  syncKinds.has(kind) ? 'internal' : rules.travelOf(kind)

const isUpward = (travel: Travel) => travel === 'zone-to-global' || travel === 'zone-relayed'
