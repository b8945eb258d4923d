import { rewindOf } from '@zonemesh/plane/api/forget.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin, keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit, Store, Version } from '@zonemesh/shared/store/store.ts'
import { withRounds } from '@zonemesh/shared/store/wrap.ts'
import { epochKind, partsOf, quotaKind, rowBytes } from '@zonemesh/shared/sync/log/rounds.ts'
import { allRowsOf } from './limits.ts'
import { createRefusedRows } from './refused.ts'

/** The limits on what one zone may store at the global. */
export interface Quota {
  readonly rowsMax: number
  readonly bytesMax: number
}

/** What a zone has stored. */
interface Usage {
  /**
   * In a shared store, the revision of the epoch for which it was counted: a later session may have been with another
   * replica.
   */
  readonly epoch: number | undefined
  readonly bytesByKey: Map<string, number>
  bytes: number
  /** The stored SyncQuota row, if rows of this zone were refused. */
  refusal: Refusal | undefined
}

/** What the metrics show of one zone. */
export interface ZoneFigure {
  readonly zone: string
  readonly rows: number
  readonly bytes: number
  readonly refused: number
}

/** The content of a SyncQuota row. */
interface Refusal extends Quota {
  /** Whether a row was refused because the zone is full. False if the row alone was too large. */
  readonly full: boolean
}

/** A zone sends its refused rows again when it uses at most this share of its quota. */
const roomyShare = 0.9

const quotaKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: quotaKind, mesh: '', name: zone })

/**
 * Refuses rows of zones above their quota. As with limits, a refused version also removes the former version of the
 * row. Stored rows stay, and a zone can always delete rows. A SyncQuota row in the same round records the refusal, so
 * that the zone sends all its rows again when there is room. Calls `onRoom` when `reconcile` has work.
 */
export function createZoneQuotas(
  raw: Store,
  quota: Quota,
  { log, isShared, onRoom }: { readonly log: Log; readonly isShared: boolean; readonly onRoom: () => void },
) {
  const usageByZone = new Map<string, Promise<Usage>>()
  /** The usages that are counted, for metrics. */
  const countedByZone = new Map<string, Usage>()
  const refused = createRefusedRows()

  async function counted(zone: string, epoch: number | undefined): Promise<Usage> {
    const bytesByKey = new Map((await allRowsOf(raw, zone)).map((row) => [keyText(row.key), rowBytes(row)]))
    const bytes = [...bytesByKey.values()].reduce((sum, size) => sum + size, 0)
    const usage = { epoch, bytesByKey, bytes, refusal: refusalFrom(await raw.get(quotaKey(zone))) }
    countedByZone.set(zone, usage)
    return usage
  }

  async function usageOf(zone: string, epoch: number | undefined): Promise<Usage> {
    const current = await usageByZone.get(zone)
    if (current && (epoch === undefined || current.epoch === epoch)) return current
    const count = counted(zone, epoch ?? current?.epoch)
    usageByZone.set(zone, count)
    count.catch(() => usageByZone.delete(zone))
    return count
  }

  /** Judges the changes of one zone. Deleted rows make room for rows that are written in the same round. */
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
    if (found.rows > quota.rowsMax) return `the zone may store at most ${quota.rowsMax} rows (--zone-rows-max)`
    if (found.bytes > quota.bytesMax)
      return `the rows of the zone may have at most ${quota.bytesMax} bytes (--zone-bytes-max), found ${found.bytes}`
    return undefined
  }

  const isRoomy = ({ rows, bytes }: { readonly rows: number; readonly bytes: number }): boolean =>
    rows <= roomyShare * quota.rowsMax && bytes <= roomyShare * quota.bytesMax

  const canSendAgain = ({ refusal, bytesByKey, bytes }: Usage): boolean =>
    refusal !== undefined &&
    isRoomy({ rows: bytesByKey.size, bytes }) &&
    (refusal.full || refusal.rowsMax !== quota.rowsMax || refusal.bytesMax !== quota.bytesMax)

  /** The round to write: refused rows are forgotten, and a first part records the refusal. */
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
      log.warn(
        { zone, rows: verdict.reasons.size, ...quota },
        `refused rows of a zone: ${[...verdict.reasons.values()][0]}`,
      )
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
    /** Metrics of the zones that have written since this process started. */
    figures: (): readonly ZoneFigure[] =>
      [...countedByZone].map(([zone, { bytesByKey, bytes }]) => ({
        zone,
        rows: bytesByKey.size,
        bytes,
        refused: refused.size(zone),
      })),
    /** Makes zones with room again, or with another quota, send all their rows. `ended` ends the session of a zone. */
    async reconcile(ended: (zone: string) => void): Promise<void> {
      for (const { key } of await raw.scan({ origin: globalOrigin, kind: quotaKind })) {
        const zone = key.name
        const usage = await usageOf(zone, undefined)
        if (!canSendAgain(usage)) continue
        refused.clear(zone)
        const why = { subject: 'mesh-system:control-plane', intent: `zone ${zone} is below its quota again` }
        await raw.commitRound(partsOf([{ op: 'delete', key }], await rewindOf(raw, zone), why))
        usage.refusal = undefined
        log.info({ zone }, 'the zone is below its quota again and sends all its rows')
        ended(zone)
      }
    },
  }
}

/** The revision of the epoch that the commits of a session check. */
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
