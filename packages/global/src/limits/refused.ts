import { availableService } from '@zonemesh/core/kinds/internal.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'

/** A row of a zone that the global has refused. */
export interface RefusedRow {
  readonly key: string
  readonly reason: string
}

/** Limit of the refused rows per zone that the status can show. */
const refusedMax = 1_000

/** The status leaves out internal rows: users do not write them. */
const isShown = (kind: string): boolean => findKind(kind)?.internal !== true || kind === availableService.name

/** The refused rows of each zone, for the status. */
export function createRefusedRows() {
  const reasonsByZone = new Map<string, Map<string, string>>()
  return {
    /** Records the reason why a row is refused. Without a reason, the row is no longer refused. */
    record({ origin, ...key }: ResourceKey, reason: string | undefined): void {
      const text = keyText({ origin, ...key })
      const reasons = reasonsByZone.get(origin) ?? new Map<string, string>()
      reasonsByZone.set(origin, reasons)
      if (reason === undefined) reasons.delete(text)
      else if (isShown(key.kind) && (reasons.size < refusedMax || reasons.has(text))) reasons.set(text, reason)
    },
    clear: (zone: string): void => void reasonsByZone.delete(zone),
    size: (zone: string): number => reasonsByZone.get(zone)?.size ?? 0,
    of: (zone: string): readonly RefusedRow[] =>
      [...(reasonsByZone.get(zone) ?? [])]
        .map(([key, reason]) => ({ key, reason }))
        .sort((a, b) => byCodeUnit(a.key, b.key)),
  }
}
