import { availableService } from '@zonemesh/core/kinds/internal.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'

/** A row of a zone that the global does not keep. */
export interface RefusedRow {
  readonly key: string
  readonly reason: string
}

/** So many refused rows of a zone are remembered for the status. */
const refusedMax = 1_000

/** Requests and reports of the plane itself follow from what people see, so the status leaves them out. */
const isShown = (kind: string): boolean => findKind(kind)?.internal !== true || kind === availableService.name

/** The refused rows of each zone, as the status shows them. */
export function createRefusedRows() {
  const reasonsByZone = new Map<string, Map<string, string>>()
  return {
    /** Records the reason of a refused row; without one, the row is not refused any more. */
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
