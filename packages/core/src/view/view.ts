import { messageOf } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type Row, type Stamp } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { proxyKinds } from '../kinds/proxies.ts'
import { type IndexEntry, indexEntriesOf, ranges } from './indexes.ts'
import { same } from './same.ts'
import { type Cell, type FaultPoint, HeldError, type Units } from './units.ts'

/** Kinds whose rows belong to a zone. Of all others one row per name is in force, and the global's wins. */
const zoneKinds = new Set([...proxyKinds, 'AvailableService'])

/** Kinds that something is compiled from. */
export const keptKinds: ReadonlySet<string> = new Set([
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
  'GatewayCertificate',
])

/** One version of a row, whoever delivered it: what its owner's order is told by. */
export const rowVersion = ({ incarnation, originRevision }: Stamp): string => `${incarnation}.${originRevision}`

/** A row that is held back, and why. */
export interface HeldRow {
  readonly row: Row
  readonly reason: string
}

/**
 * A Mesh that is held back must not be taken for one without mutual TLS. Whoever reads it has no table until it is
 * written again, and its proxies keep what they have.
 */
const neededKinds = new Set(['Mesh'])

/** Stands in the cell of such a row. */
const held: unique symbol = Symbol('held')

/**
 * The rows of one mark as a compilation sees them. Whoever reads through `row` or `range` depends on just that key or
 * range, present or absent. Rows of other zones that are of no use here (their policies, their gateways) are not in it,
 * nor are versions that are held back.
 */
export function createView(units: Units, zone: string, faultPoint?: FaultPoint) {
  const heldByRow = new Map<string, string>()
  const stored = new Map<string, Row>()
  const entriesByRow = new Map<string, readonly IndexEntry[]>()
  /** range → member → how many entries put it there. */
  const members = new Map<string, Map<string, number>>()
  const rowCells = new Map<string, Cell<Row | typeof held | undefined>>()
  const rangeCells = new Map<string, Cell<readonly string[]>>()
  const touchedRanges = new Set<string>()

  const listOf = (range: string): readonly string[] => [...(members.get(range)?.keys() ?? [])].sort()

  const isHeld = (row: Row): boolean => heldByRow.get(keyText(row.key)) === rowVersion(row.stamp)

  /** The stored row, unless it is held back. One that nothing can do without stays, and says so to its readers. */
  function inForce(text: string): Row | undefined {
    const row = stored.get(text)
    return row && isHeld(row) && !neededKinds.has(row.key.kind) ? undefined : row
  }

  function visible(text: string): Row | undefined {
    const row = inForce(text)
    if (!row || zoneKinds.has(row.key.kind)) return row
    if (row.key.origin === globalOrigin) return row
    if (row.key.origin !== zone) return undefined
    return inForce(keyText({ ...row.key, origin: globalOrigin })) ? undefined : row
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

  const cellValue = (row: Row | undefined) => (row && isHeld(row) ? held : row)

  /** Brings indexes and readers of one key up to date with what is stored. */
  function update(text: string): void {
    const row = visible(text)
    if (row && !isHeld(row)) faultPoint?.(`index ${text}`, [])
    rowCells.get(text)?.write(cellValue(row))
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
      cell = units.cell<Row | typeof held | undefined>(text, cellValue(visible(text)), () => void rowCells.delete(text))
      rowCells.set(text, cell)
    }
    const row = cell.read()
    if (row === held) throw new HeldError(`${text} is quarantined, and nothing can be made without it`)
    return row
  }

  /** A row, and the own one of the same name that it may stand before. */
  function updateNamed({ key }: { readonly key: Row['key'] }): void {
    update(keyText(key))
    if (key.origin === globalOrigin && !zoneKinds.has(key.kind)) update(keyText({ ...key, origin: zone }))
  }

  function writeRanges(): void {
    for (const range of touchedRanges) rangeCells.get(range)?.write(listOf(range))
    touchedRanges.clear()
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
    /**
     * Takes over what changed. Readers are marked; nothing is computed. Returns the rows that were held back because they
     * are not sound or cannot be taken over; all others are there.
     */
    apply(
      versions: readonly Version[],
      faultOf: (row: Row) => string | undefined = () => undefined,
    ): readonly HeldRow[] {
      const unsound: HeldRow[] = []
      const holdBack = (row: Row, reason: string) => {
        unsound.push({ row, reason })
        heldByRow.set(keyText(row.key), rowVersion(row.stamp))
      }
      for (const version of versions) {
        const { key, row } = version
        if (!keptKinds.has(key.kind)) continue
        const text = keyText(key)
        if (row) stored.set(text, row)
        else stored.delete(text)
        // What is held back is one version, not the row for ever.
        if (!row || !isHeld(row)) heldByRow.delete(text)
        const fault = row && !isHeld(row) ? faultOf(row) : undefined
        if (row && fault !== undefined) holdBack(row, fault)
        try {
          updateNamed(version)
        } catch (thrown) {
          if (!row) throw thrown
          holdBack(row, messageOf(thrown))
          updateNamed(version)
        }
      }
      writeRanges()
      return unsound
    },
    /** From now on this version of a row is as if it were not there. The row itself may come later. */
    hold(text: string, version: string): void {
      heldByRow.set(text, version)
      const row = stored.get(text)
      if (row) updateNamed(row)
      writeRanges()
    },
    /** The row counts again. */
    release(text: string): void {
      heldByRow.delete(text)
      const row = stored.get(text)
      if (row) updateNamed(row)
      writeRanges()
    },
    isHeld,
    /** Outside of compilation only: a row as it is stored, held back or not. */
    stored: (text: string): Row | undefined => stored.get(text),
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
  }
}
export type View = ReturnType<typeof createView>
