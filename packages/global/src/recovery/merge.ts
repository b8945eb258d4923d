import { findKind } from '@zonemesh/core/registry.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { isNewer, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Position } from '@zonemesh/shared/store/store.ts'

/** What one zone holds of the global that is lost. */
export interface ZoneCopy {
  readonly zone: string
  /** The last mark of the global that the zone has stored. */
  readonly position: Position
  readonly rows: readonly Row[]
}

export interface Merged {
  /** With the zone that each row was taken from. */
  readonly rows: readonly { readonly row: Row; readonly zone: string }[]
  /** Rows that a zone which is behind still has: the newest one knows that they were deleted. */
  readonly leftOut: readonly { readonly row: Row; readonly zone: string }[]
  readonly newest: ZoneCopy
}

/** Rows of such a kind are told to one zone only: the other zones do not know whether they exist. */
const isForOne = (kind: string): boolean => sightRules.seenBy?.has(kind) ?? false

/**
 * One state from the copies of several zones. A zone has everything up to its position, so the zone that is furthest says which rows
 * there are; of each row the newest version counts. Another zone adds what only it may see, and what is newer than that position.
 */
export function mergeCopies(copies: readonly [ZoneCopy, ...ZoneCopy[]]): Merged {
  const [first] = copies
  const newest = copies.reduce((best, copy) => (copy.position.revision > best.position.revision ? copy : best), first)
  const known = new Set(newest.rows.map((row) => keyText(row.key)))
  const found = new Map<string, { readonly row: Row; readonly zone: string }>()
  const leftOut: { readonly row: Row; readonly zone: string }[] = []
  // The furthest zone first: of equal versions its own is taken.
  for (const copy of [newest, ...copies.filter((one) => one !== newest)]) {
    for (const row of copy.rows) {
      if (findKind(row.key.kind)?.travel !== 'global-to-zones') continue
      const key = keyText(row.key)
      const counts = known.has(key) || isForOne(row.key.kind) || row.stamp.originRevision > newest.position.revision
      const taken = found.get(key)
      if (!counts) leftOut.push({ row, zone: copy.zone })
      else if (!taken || isNewer(row.stamp, taken.row.stamp)) found.set(key, { row, zone: copy.zone })
    }
  }
  return { rows: [...found.values()], leftOut, newest }
}
