import { findKind } from '@zonemesh/core/registry.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { isNewer, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'

/** The rows of a lost global in the store of one zone. */
export interface ZoneCopy {
  readonly zone: string
  /** The last mark of the global that the zone has stored. */
  readonly position: Position
  readonly rows: readonly Row[]
}

export interface Merged {
  /** The rows, each with the zone that it was read from. */
  readonly rows: readonly { readonly row: Row; readonly zone: string }[]
  /** Rows in a zone that is behind, which were deleted before the position of the newest zone. */
  readonly leftOut: readonly { readonly row: Row; readonly zone: string }[]
  readonly newest: ZoneCopy
}

/** Rows of such a kind are synced to one zone only, so their absence in another zone is no deletion. */
const isForOne = (kind: string): boolean => sightRules.seenBy?.has(kind) ?? false

/**
 * Merges the copies of several zones into one state. A zone has everything up to its position, so the zone with the
 * newest position determines which rows exist. The newest version of each row is taken. The other zones add the rows
 * that are synced only to them, and rows that are newer than that position.
 */
export function mergeCopies(copies: readonly [ZoneCopy, ...ZoneCopy[]]): Merged {
  const [first] = copies
  const newest = copies.reduce((best, copy) => (copy.position.revision > best.position.revision ? copy : best), first)
  const newestKeys = new Set(newest.rows.map((row) => keyText(row.key)))
  const found = new Map<string, { readonly row: Row; readonly zone: string }>()
  const leftOut: { readonly row: Row; readonly zone: string }[] = []
  // The newest zone first: its copy is taken if versions are equal.
  for (const copy of [newest, ...copies.filter((copy) => copy !== newest)]) {
    for (const row of copy.rows) {
      if (findKind(row.key.kind)?.travel !== 'global-to-zones') continue
      const key = keyText(row.key)
      const counts =
        newestKeys.has(key) || isForOne(row.key.kind) || row.stamp.originRevision > newest.position.revision
      const taken = found.get(key)
      if (!counts) leftOut.push({ row, zone: copy.zone })
      else if (!taken || isNewer(row.stamp, taken.row.stamp)) found.set(key, { row, zone: copy.zone })
    }
  }
  return { rows: [...found.values()], leftOut, newest }
}
