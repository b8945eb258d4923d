import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { asLeader, type Lead } from '../leader/election.ts'
import { globalOrigin, type ResourceKey } from '../resource/resource.ts'
import type { Change, Store, Version } from '../store/store.ts'
import { formerKind } from './log/rounds.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** How long rows of a former incarnation stay after the global has all rows of the new one. */
  readonly stayMs: number
  /** The lead of this process among the replicas of the global: only the leader removes rows. */
  readonly lead: () => Lead | undefined
}

export const formerStayMs = 300_000

/** The rows that remain of a zone's lost store. */
export interface Former {
  readonly rows: number
  /** As this process counts; a restart begins the time again. */
  readonly expiresInMs: number
}
const changesMax = 900

const formerKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: formerKind, mesh: '', name: zone })

/**
 * Keeps rows that remain of a zone whose store was lost. The new incarnation does not contain them, perhaps only
 * because their proxies have not reconnected yet. They stay for five minutes unless an operator keeps them.
 */
export function createFormers({ store, clock, log, stayMs, lead }: Deps) {
  /**
   * When this process first saw the row of a zone. Monotonic, because wall clocks jump; a restart begins the time
   * again.
   */
  const seen = new Map<string, { readonly revision: number; readonly atMs: number }>()
  const rowsByZone = new Map<string, number>()

  async function remains(zone: string, incarnation: number): Promise<ResourceKey[]> {
    const rows = await store.scan({ origin: zone }, { at: (await store.head()).revision })
    return rows.filter(({ stamp }) => stamp.incarnation < incarnation).map(({ key }) => key)
  }

  async function expire(zone: string, version: Version, own: Lead): Promise<void> {
    const keys = await remains(zone, Number(version.row?.spec['incarnation'] ?? 0))
    const guard: Change = { op: 'check', key: formerKey(zone), expect: { revision: version.revision } }
    const why = {
      subject: 'mesh-system:control-plane',
      intent: `remove the expired rows of a former store of zone ${zone}`,
    }
    for (let at = 0; at < keys.length; at += changesMax) {
      const part = keys.slice(at, at + changesMax).map((key): Change => ({ op: 'forget', key }))
      if (!(await store.commit(asLeader(own, { ...why, changes: [guard, ...part] }))).ok) return
    }
    const ended: Change = { op: 'delete', key: formerKey(zone), expect: { revision: version.revision } }
    if (!(await store.commit(asLeader(own, { ...why, changes: [ended] }))).ok) return
    log.warn({ zone, rows: keys.length }, 'removed the expired rows of a former store of the zone')
  }

  return {
    /** The row that records the former rows, for the commit in which the new incarnation is complete. */
    stays: (zone: string, incarnation: number, rows: number): readonly Change[] => [
      { op: 'put', key: formerKey(zone), labels: {}, spec: { incarnation, rows, atMs: Math.floor(clock.wallMs()) } },
    ],
    /** Removes rows whose time has passed. Called periodically. */
    async look(): Promise<void> {
      const rows = await store.scan({ origin: globalOrigin, kind: formerKind })
      rowsByZone.clear()
      for (const { key, spec } of rows) {
        const version = await store.get(key)
        if (version?.state !== 'live') continue
        rowsByZone.set(key.name, Number(spec['rows'] ?? 0))
        const known = seen.get(key.name)
        if (known?.revision !== version.revision) {
          seen.set(key.name, { revision: version.revision, atMs: clock.monotonicMs() })
          continue
        }
        const own = lead()
        if (own && clock.monotonicMs() - known.atMs >= stayMs) {
          await expire(key.name, version, own).catch((cause: unknown) =>
            log.error({ zone: key.name, reason: messageOf(cause) }, 'cannot remove the expired rows of a former store'),
          )
        }
      }
    },
    /** Keeps the rows permanently. False if there are none. */
    async keep(zone: string, subject: string): Promise<boolean> {
      rowsByZone.delete(zone)
      const changes: Change[] = [{ op: 'delete', key: formerKey(zone), expect: { present: true } }]
      return (await store.commit({ subject, intent: `keep the rows of a former store of zone ${zone}`, changes })).ok
    },
    /** The rows that stay, by zone, as of the last `look`. */
    byZone(): ReadonlyMap<string, Former> {
      const sinceMs = (zone: string) => seen.get(zone)?.atMs ?? clock.monotonicMs()
      const leftMs = (zone: string) => Math.max(0, sinceMs(zone) + stayMs - clock.monotonicMs())
      return new Map([...rowsByZone].map(([zone, rows]) => [zone, { rows, expiresInMs: Math.round(leftMs(zone)) }]))
    },
  }
}
export type Formers = ReturnType<typeof createFormers>
