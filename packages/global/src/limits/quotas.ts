import { rewindOf } from '@zonemesh/plane/api/forget.ts'
import { withRounds } from '@zonemesh/plane/with-commit.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin, keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit, Store, Version } from '@zonemesh/shared/store/store.ts'
import { epochKind, partsOf, quotaKind, rowBytes } from '@zonemesh/shared/sync/log/rounds.ts'
import { allRowsOf } from './limits.ts'
import { createRefusedRows } from './refused.ts'

/** How much one zone may store at the global. */
export interface Quota {
  readonly rowsMax: number
  readonly bytesMax: number
}

/** What a zone has stored, by the bytes of each row. */
interface Usage {
  /** Of a shared store: the revision of the epoch that counted it. Another session may have been with another replica. */
  readonly epoch: number | undefined
  readonly bytesByKey: Map<string, number>
  bytes: number
  /** The row of the quota as it is stored, if rows of this zone were refused. */
  refusal: Refusal | undefined
}

/** The content of a SyncQuota row. */
interface Refusal extends Quota {
  /** A row was refused because the zone is full, not because the row alone is too large. */
  readonly full: boolean
}

/** A zone sends its refused rows again when it uses no more than this share of its quota. */
const roomyShare = 0.9

const quotaKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: quotaKind, mesh: '', name: zone })

/**
 * Refuses rows of zones that are above their quota. Like a row outside of limits, a refused version also removes the version before
 * it. The rows that a zone has already stay, and it can always remove some. A row of the kind SyncQuota records, in the same round,
 * that rows were refused: the zone sends all its rows again when there is room. `onRoom` is called when `reconcile` has work.
 */
export function createZoneQuotas(
  raw: Store,
  quota: Quota,
  { log, isShared, onRoom }: { readonly log: Log; readonly isShared: boolean; readonly onRoom: () => void },
) {
  const usageByZone = new Map<string, Promise<Usage>>()
  /** The same, once it has been counted. */
  const countedByZone = new Map<string, Usage>()
  const refused = createRefusedRows()

  async function counted(zone: string, epoch: number | undefined): Promise<Usage> {
    const bytesByKey = new Map((await allRowsOf(raw, zone)).map((row) => [keyText(row.key), rowBytes(row)]))
    const bytes = [...bytesByKey.values()].reduce((sum, one) => sum + one, 0)
    const usage = { epoch, bytesByKey, bytes, refusal: refusalFrom(await raw.get(quotaKey(zone))) }
    countedByZone.set(zone, usage)
    return usage
  }

  async function usageOf(zone: string, epoch: number | undefined): Promise<Usage> {
    const known = await usageByZone.get(zone)
    if (known && (epoch === undefined || known.epoch === epoch)) return known
    const count = counted(zone, epoch ?? known?.epoch)
    usageByZone.set(zone, count)
    count.catch(() => usageByZone.delete(zone))
    return count
  }

  /** The changes of one zone as they may be written. Rows that go make room for those that come in the same round. */
  function judge(usage: Usage, changes: readonly Change[]) {
    let { bytes } = usage
    let rows = usage.bytesByKey.size
    let isFull = false
    const reasons = new Map<Change, string>()
    const remove = (key: ResourceKey): void => {
      const before = usage.bytesByKey.get(keyText(key))
      if (before === undefined) return
      bytes -= before
      rows -= 1
    }
    for (const change of changes) if (change.op === 'delete' || change.op === 'forget') remove(change.key)
    for (const change of changes) {
      if (change.op !== 'put') continue
      remove(change.key)
      const size = rowBytes(change)
      const reason = aboveQuota({ rows: rows + 1, bytes: bytes + size })
      if (reason === undefined) {
        bytes += size
        rows += 1
        continue
      }
      reasons.set(change, reason)
      isFull ||= !isRoomy({ rows, bytes })
    }
    for (const change of changes) if (change.op !== 'check') refused.record(change.key, reasons.get(change))
    return { reasons, isFull }
  }

  const aboveQuota = (found: { readonly rows: number; readonly bytes: number }): string | undefined => {
    if (found.rows > quota.rowsMax) return `the zone may have ${quota.rowsMax} rows (--zone-rows-max)`
    if (found.bytes > quota.bytesMax)
      return `the rows of the zone may have ${quota.bytesMax} bytes (--zone-bytes-max), found ${found.bytes}`
    return undefined
  }

  const isRoomy = ({ rows, bytes }: { readonly rows: number; readonly bytes: number }): boolean =>
    rows <= roomyShare * quota.rowsMax && bytes <= roomyShare * quota.bytesMax

  const canSendAgain = ({ refusal, bytesByKey, bytes }: Usage): boolean =>
    refusal !== undefined &&
    isRoomy({ rows: bytesByKey.size, bytes }) &&
    (refusal.full || refusal.rowsMax !== quota.rowsMax || refusal.bytesMax !== quota.bytesMax)

  /** A round as it may be written: refused rows are forgotten, and a part before the others records that there are some. */
  async function judged(parts: readonly Commit[], usages: ReadonlyMap<string, Usage>): Promise<readonly Commit[]> {
    const reasons = new Map<Change, string>()
    const records: Change[] = []
    for (const [zone, usage] of usages) {
      const verdict = judge(
        usage,
        parts.flatMap(({ changes }) => changes.filter(({ key }) => key.origin === zone)),
      )
      for (const [change, reason] of verdict.reasons) reasons.set(change, reason)
      if (verdict.reasons.size === 0) continue
      const refusal = { ...quota, full: verdict.isFull || (usage.refusal?.full ?? false) }
      if (JSON.stringify(usage.refusal) === JSON.stringify(refusal)) continue
      log.warn({ zone, rows: verdict.reasons.size, ...quota }, `refused rows: ${[...verdict.reasons.values()][0]}`)
      records.push({ op: 'put', key: quotaKey(zone), labels: {}, spec: refusal })
    }
    if (reasons.size === 0) return parts
    const written = parts.map((part) => ({
      ...part,
      changes: part.changes.map((change): Change => (reasons.has(change) ? { op: 'forget', key: change.key } : change)),
    }))
    const guards = parts[0]?.changes.filter(({ op }) => op === 'check') ?? []
    return records.length === 0 || !parts[0] ? written : [{ ...parts[0], changes: [...guards, ...records] }, ...written]
  }

  function count(usage: Usage, version: Version): void {
    const text = keyText(version.key)
    usage.bytes -= usage.bytesByKey.get(text) ?? 0
    usage.bytesByKey.delete(text)
    if (!version.row) return
    const bytes = rowBytes(version.row)
    usage.bytesByKey.set(text, bytes)
    usage.bytes += bytes
  }

  const store = withRounds(raw, async (parts, options) => {
    const zones = new Set(parts.flatMap(({ changes }) => changes.map(({ key }) => key.origin)))
    zones.delete(globalOrigin)
    if (zones.size === 0) return raw.commitRound(parts, options)
    const usages = new Map<string, Usage>()
    for (const zone of zones) usages.set(zone, await usageOf(zone, isShared ? epochOf(parts, zone) : undefined))
    const outcome = await raw.commitRound(await judged(parts, usages), options)
    if (!outcome.ok) return outcome
    for (const version of outcome.written) {
      const { origin, kind, name } = version.key
      const usage = usages.get(origin === globalOrigin && kind === quotaKind ? name : origin)
      if (usage && origin === globalOrigin) usage.refusal = refusalFrom(version)
      else if (usage) count(usage, version)
    }
    if ([...usages.values()].some(canSendAgain)) onRoom()
    return outcome
  })

  return {
    store,
    refused: refused.of,
    /** What zones have stored, as figures of /metrics: those that have written since this process started. */
    figures(): Readonly<Record<string, number>> {
      const zones = [...countedByZone].sort(([a], [b]) => byCodeUnit(a, b))
      return Object.fromEntries(
        zones.flatMap(([zone, { bytesByKey, bytes }]) => [
          [`zonemesh_zone_rows{zone="${zone}"}`, bytesByKey.size],
          [`zonemesh_zone_bytes{zone="${zone}"}`, bytes],
          [`zonemesh_zone_rows_refused{zone="${zone}"}`, refused.size(zone)],
        ]),
      )
    },
    /** Lets the zones that have room again, or another quota, send all their rows. `ended` ends the session of a zone. */
    async reconcile(ended: (zone: string) => void): Promise<void> {
      for (const { key } of await raw.scan({ origin: globalOrigin, kind: quotaKind })) {
        const zone = key.name
        const usage = await usageOf(zone, undefined)
        if (!canSendAgain(usage)) continue
        refused.clear(zone)
        const why = { subject: 'mesh-system:control-plane', intent: `zone ${zone} is below its quota again` }
        await raw.commitRound(partsOf([{ op: 'delete', key }], await rewindOf(raw, zone), why))
        usage.refusal = undefined
        log.info({ zone }, 'the zone is below its quota again: it sends all its rows')
        ended(zone)
      }
    },
  }
}

/** The revision of the epoch that a session's commits check. */
function epochOf(parts: readonly Commit[], zone: string): number | undefined {
  for (const change of parts[0]?.changes ?? []) {
    const { key } = change
    if (change.op !== 'check' || key.kind !== epochKind || key.name !== zone) continue
    return 'revision' in change.expect ? change.expect.revision : undefined
  }
  return undefined
}

function refusalFrom(version: Version | undefined): Refusal | undefined {
  const { rowsMax, bytesMax, full } = version?.row?.spec ?? {}
  return typeof rowsMax === 'number' && typeof bytesMax === 'number'
    ? { rowsMax, bytesMax, full: full === true }
    : undefined
}
