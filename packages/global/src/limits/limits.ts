import { serviceTag } from '@zonemesh/core/kinds/common.ts'
import { availableService } from '@zonemesh/core/kinds/internal.ts'
import { parsedRows, specOf } from '@zonemesh/core/kinds/row.ts'
import { outsideLimits, type ZoneLimits, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import { rewindOf } from '@zonemesh/plane/api/forget.ts'
import { globalOrigin, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { withRounds } from '@zonemesh/shared/store/wrap.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'
import { createRefusedRows } from './refused.ts'

/** The reason why a row is outside of the limits of its Zone; undefined if it is within. */
function refusal(limits: ZoneLimits, row: Pick<Row, 'key' | 'spec'>): string | undefined {
  const { kind, mesh } = row.key
  if (mesh === '') return undefined
  if (kind !== availableService.name) return outsideLimits(limits, mesh, undefined)
  const spec = specOf(availableService, row)
  return spec
    ? outsideLimits(limits, mesh, spec.tags[serviceTag] ?? '')
    : 'it cannot be parsed, so its service is unknown'
}

/**
 * Refuses rows that are outside of the limits of their Zone, regardless of the sender. A refused version also removes
 * the former version of the row, which the zone no longer has. If limits change, the zone sends all its rows again.
 */
export function createZoneLimits(raw: Store) {
  /** The last applied limits, by zone. */
  let applied: ReadonlyMap<string, string> = new Map()
  const refused = createRefusedRows()

  async function limitsOf(zone: string): Promise<ZoneLimits | undefined> {
    const row = (await raw.get({ origin: globalOrigin, kind: zoneKind.name, mesh: '', name: zone }))?.row
    return row && specOf(zoneKind, row)?.limits
  }

  function judge(change: Change, limits: ZoneLimits): Change {
    if (change.op === 'check') return change
    const reason = change.op === 'put' ? refusal(limits, change) : undefined
    refused.record(change.key, reason)
    return reason === undefined ? change : { op: 'forget', key: change.key }
  }

  const store = withRounds(raw, async (parts, options) => {
    const zones = new Set(parts.flatMap(({ changes }) => changes.map(({ key }) => key.origin)))
    zones.delete(globalOrigin)
    const limitsByZone = new Map<string, ZoneLimits>()
    for (const zone of zones) {
      const limits = await limitsOf(zone)
      if (limits) limitsByZone.set(zone, limits)
    }
    if (limitsByZone.size === 0) return raw.commitRound(parts, options)
    const judged = parts.map((part) => ({
      ...part,
      changes: part.changes.map((change) => {
        const limits = limitsByZone.get(change.key.origin)
        return limits ? judge(change, limits) : change
      }),
    }))
    return raw.commitRound(judged, options)
  })

  return {
    store,
    refused: refused.of,
    refusedCount: refused.size,
    /**
     * Applies limits that have changed since the last call. `ended` ends the session of a zone, whose next one starts
     * at the first row.
     */
    async reconcile(ended: (zone: string) => void): Promise<void> {
      const zones = parsedRows(zoneKind, await raw.scan({ kind: zoneKind.name, origin: globalOrigin }))
      const next = new Map(
        zones.flatMap(({ key, spec }) => (spec.limits ? [[key.name, JSON.stringify(spec.limits)] as const] : [])),
      )
      for (const zone of new Set([...next.keys(), ...applied.keys()])) {
        if (next.get(zone) === applied.get(zone)) continue
        const limits = await limitsOf(zone)
        const outside = limits ? (await allRowsOf(raw, zone)).filter((row) => refusal(limits, row) !== undefined) : []
        const forgotten = outside.map(({ key }): Change => ({ op: 'forget', key }))
        const why = { subject: 'mesh-system:control-plane', intent: `apply the limits of zone ${zone}` }
        refused.clear(zone)
        await store.commitRound(partsOf(forgotten, await rewindOf(raw, zone), why))
        ended(zone)
      }
      applied = next
    },
  }
}

/** All rows of a zone at the head of the store. */
export async function allRowsOf(store: Pick<Store, 'head' | 'scan'>, zone: string): Promise<Row[]> {
  const { revision: at } = await store.head()
  const rows: Row[] = []
  for (;;) {
    const last = rows.at(-1)
    const page = await store.scan({ origin: zone }, { at, limit: 500, ...(last ? { after: keyText(last.key) } : {}) })
    rows.push(...page)
    if (page.length < 500) return rows
  }
}
