import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { globalOrigin, type ResourceKey } from '../resource/resource.ts'
import type { Change, Store, Version } from '../store/store.ts'
import { formerKind } from './log/rounds.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** How long rows of a former incarnation stay after the new one was told completely. */
  readonly stayMs: number
}

export const formerStayMs = 300_000

/** What remains of a zone's lost store. */
export interface Former {
  readonly rows: number
  /** By this process; a restart gives the time anew. */
  readonly expiresInMs: number
}
const changesMax = 900

const formerKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: formerKind, mesh: '', name: zone })

/**
 * Rows that remain of a zone whose store was lost: the new incarnation did not name them, but perhaps their proxies only have
 * not come back yet. They stay for five minutes, or until an operator decides otherwise.
 */
export function createFormers({ store, clock, log, stayMs }: Deps) {
  /** When this process first saw a zone's row: wall clocks jump, and a restart gives the time anew. */
  const seen = new Map<string, { readonly revision: number; readonly atMs: number }>()
  const rowsByZone = new Map<string, number>()

  async function remains(zone: string, incarnation: number): Promise<ResourceKey[]> {
    const rows = await store.scan({ origin: zone }, { at: (await store.head()).revision })
    return rows.filter(({ stamp }) => stamp.incarnation < incarnation).map(({ key }) => key)
  }

  async function expire(zone: string, version: Version): Promise<void> {
    const keys = await remains(zone, Number(version.row?.spec['incarnation'] ?? 0))
    const guard: Change = { op: 'check', key: formerKey(zone), expect: { revision: version.revision } }
    const why = {
      subject: 'mesh-system:control-plane',
      intent: `what remained of a former store of zone ${zone} expires`,
    }
    for (let at = 0; at < keys.length; at += changesMax) {
      const part = keys.slice(at, at + changesMax).map((key): Change => ({ op: 'forget', key }))
      if (!(await store.commit({ ...why, changes: [guard, ...part] })).ok) return
    }
    await store.commit({
      ...why,
      changes: [{ op: 'delete', key: formerKey(zone), expect: { revision: version.revision } }],
    })
    log.warn({ zone, rows: keys.length }, 'what remained of a former store of the zone has expired')
  }

  return {
    /** The row that says so, for the commit in which the new incarnation is complete. */
    stays: (zone: string, incarnation: number, rows: number): readonly Change[] => [
      { op: 'put', key: formerKey(zone), labels: {}, spec: { incarnation, rows, atMs: Math.floor(clock.wallMs()) } },
    ],
    /** Lets go of what is due. To be called now and then. */
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
        } else if (clock.monotonicMs() - known.atMs >= stayMs) {
          await expire(key.name, version).catch((cause: unknown) =>
            log.error({ zone: key.name, reason: messageOf(cause) }, 'cannot remove what remained of a former store'),
          )
        }
      }
    },
    /** Keeps them for good. False when there is nothing to keep. */
    async keep(zone: string, subject: string): Promise<boolean> {
      rowsByZone.delete(zone)
      const changes: Change[] = [{ op: 'delete', key: formerKey(zone), expect: { present: true } }]
      return (await store.commit({ subject, intent: `keep what remained of zone ${zone}`, changes })).ok
    },
    /** What stays, by zone, when last looked. */
    byZone(): ReadonlyMap<string, Former> {
      const sinceMs = (zone: string) => seen.get(zone)?.atMs ?? clock.monotonicMs()
      const leftMs = (zone: string) => Math.max(0, sinceMs(zone) + stayMs - clock.monotonicMs())
      return new Map([...rowsByZone].map(([zone, rows]) => [zone, { rows, expiresInMs: Math.round(leftMs(zone)) }]))
    },
  }
}
export type Formers = ReturnType<typeof createFormers>
