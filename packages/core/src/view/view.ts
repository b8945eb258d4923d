import { globalOrigin, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { type IndexEntry, indexEntriesOf, ranges } from './indexes.ts'
import { same } from './same.ts'
import type { Cell, Units } from './units.ts'

/** Kinds whose rows belong to a zone. Of all others one row per name is in force, and the global's wins. */
const zoneKinds = new Set(['Dataplane', 'ZoneIngress', 'AvailableService'])

/** Kinds that nothing here is compiled from. */
const keptKinds = new Set([
  ...zoneKinds,
  'Mesh',
  'Zone',
  'MeshGateway',
  'MeshGatewayRoute',
  'Timeout',
  'Retry',
  'TrafficPermission',
  'MeshTrafficPermission',
  'VirtualAddress',
])

/**
 * The rows of one mark as a compilation sees them. Whoever reads through `row` or `range` depends on just that key or
 * range, present or absent. Rows of other zones that are of no use here (their policies, their gateways) are not in it.
 */
export function createView(units: Units, zone: string) {
  const stored = new Map<string, Row>()
  const entriesByRow = new Map<string, readonly IndexEntry[]>()
  /** range → member → how many entries put it there. */
  const members = new Map<string, Map<string, number>>()
  const rowCells = new Map<string, Cell<Row | undefined>>()
  const rangeCells = new Map<string, Cell<readonly string[]>>()
  const touchedRanges = new Set<string>()

  const listOf = (range: string): readonly string[] => [...(members.get(range)?.keys() ?? [])].sort()

  function visible(text: string): Row | undefined {
    const row = stored.get(text)
    if (!row || zoneKinds.has(row.key.kind)) return row
    if (row.key.origin === globalOrigin) return row
    if (row.key.origin !== zone) return undefined
    return stored.has(keyText({ ...row.key, origin: globalOrigin })) ? undefined : row
  }

  function count(entry: IndexEntry, text: string, step: 1 | -1): void {
    const member = entry.member ?? text
    const found = members.get(entry.range) ?? new Map<string, number>()
    const now = (found.get(member) ?? 0) + step
    if (now === 0) found.delete(member)
    else found.set(member, now)
    if ((now === 0 && step === -1) || (now === 1 && step === 1)) touchedRanges.add(entry.range)
    if (found.size === 0) members.delete(entry.range)
    else members.set(entry.range, found)
  }

  function entriesOf(row: Row): readonly IndexEntry[] {
    try {
      return indexEntriesOf(row, zone)
    } catch {
      // A row that is not what its kind says is found under its name only; whoever serves it alone says so.
      return []
    }
  }

  /** Brings indexes and readers of one key up to date with what is stored. */
  function update(text: string): void {
    const row = visible(text)
    rowCells.get(text)?.write(row)
    const before = entriesByRow.get(text) ?? []
    const entries = row ? entriesOf(row) : []
    if (same(before, entries)) return
    for (const entry of before) count(entry, text, -1)
    for (const entry of entries) count(entry, text, 1)
    if (entries.length > 0) entriesByRow.set(text, entries)
    else entriesByRow.delete(text)
  }

  function readRow(text: string): Row | undefined {
    let cell = rowCells.get(text)
    if (!cell) {
      cell = units.cell(text, visible(text), () => void rowCells.delete(text))
      rowCells.set(text, cell)
    }
    return cell.read()
  }

  function readRange(range: string): readonly string[] {
    let cell = rangeCells.get(range)
    if (!cell) {
      cell = units.cell(range, listOf(range), () => void rangeCells.delete(range))
      rangeCells.set(range, cell)
    }
    return cell.read()
  }

  return {
    zone,
    /** Takes over what changed. Readers are marked; nothing is computed. */
    apply(versions: readonly Version[]): void {
      for (const version of versions) {
        const { key } = version
        if (!keptKinds.has(key.kind)) continue
        const text = keyText(key)
        if (version.row) stored.set(text, version.row)
        else stored.delete(text)
        update(text)
        if (key.origin === globalOrigin && !zoneKinds.has(key.kind)) update(keyText({ ...key, origin: zone }))
      }
      for (const range of touchedRanges) rangeCells.get(range)?.write(listOf(range))
      touchedRanges.clear()
    },
    row: readRow,
    /** Members of a range, sorted. */
    range: readRange,
    /** Rows of a range, in key order. */
    rows: (range: string): readonly Row[] => readRange(range).flatMap((text) => readRow(text) ?? []),
    /** The one row of this name that is in force. */
    named(kind: string, mesh: string, name: string): Row | undefined {
      const [text] = readRange(ranges.named(kind, mesh, name))
      return text === undefined ? undefined : readRow(text)
    },
    /** Outside of compilation only: whether a row is stored. */
    has: (text: string): boolean => stored.has(text),
  }
}
export type View = ReturnType<typeof createView>
