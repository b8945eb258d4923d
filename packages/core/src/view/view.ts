import { messageOf } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type Row, type Stamp } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import type { Tags } from '../kinds/common.ts'
import type { IndexEntry, TypedRow } from '../kinds/kind.ts'
import { ranges } from '../kinds/ranges.ts'
import { type AnyKind, parseAs, reasonOf, type SpecOf } from '../kinds/row.ts'
import { createTagSets, type TagSet } from '../kinds/tags.ts'
import { compiledKinds } from '../registry.ts'
import { same } from './same.ts'
import { type Cell, type FaultPoint, HeldError, type Units } from './units.ts'

const kindByName = new Map(compiledKinds.map((kind) => [kind.name, kind]))

const isOfZone = (kind: string): boolean => kindByName.get(kind)?.compiled.owner === 'zone'
const isNeeded = (kind: string): boolean => kindByName.get(kind)?.compiled.needed === true

/** One version of a row, whoever delivered it: what its owner's order is told by. */
export const rowVersion = ({ incarnation, originRevision }: Stamp): string => `${incarnation}.${originRevision}`

/** What identifies a version of a row. */
export type RowVersion = Pick<Row, 'key' | 'stamp'>

/** A version of a row that is held back, and why. */
export interface HeldRow {
  readonly row: RowVersion
  readonly reason: string
}

/** The version that is stored; without `parsed` its spec is not one of its kind. */
interface Stored extends RowVersion {
  readonly parsed: TypedRow<unknown> | undefined
}

interface Member {
  readonly count: number
  readonly tags: Tags | undefined
}

/** Stands in the cell of such a row. */
const held: unique symbol = Symbol('held')

/**
 * The rows of one mark as a compilation sees them. Whoever reads through `row` or `range` depends on just that key or
 * range, present or absent. Rows of other zones that are of no use here (their policies, their gateways) are not in it,
 * nor are versions that are held back.
 */
export function createView(units: Units, zone: string, faultPoint?: FaultPoint) {
  const heldByRow = new Map<string, string>()
  /** Each version is parsed once, when it arrives. */
  const stored = new Map<string, Stored>()
  const entriesByRow = new Map<string, readonly IndexEntry[]>()
  const tagSet = createTagSets()
  /** range → member → how many entries put it there, and the tag set that it is the text of. */
  const members = new Map<string, Map<string, Member>>()
  const rowCells = new Map<string, Cell<TypedRow<unknown> | typeof held | undefined>>()
  const rangeCells = new Map<string, Cell<readonly string[]>>()
  const touchedRanges = new Set<string>()

  const listOf = (range: string): readonly string[] => [...(members.get(range)?.keys() ?? [])].sort()

  const isHeld = (row: RowVersion): boolean => heldByRow.get(keyText(row.key)) === rowVersion(row.stamp)

  /** The stored row, unless it is held back. One that nothing can do without stays, and says so to its readers. */
  function inForce(text: string): Stored | undefined {
    const row = stored.get(text)
    return row && isHeld(row) && !isNeeded(row.key.kind) ? undefined : row
  }

  function visible(text: string): Stored | undefined {
    const row = inForce(text)
    if (!row || isOfZone(row.key.kind)) return row
    if (row.key.origin === globalOrigin) return row
    if (row.key.origin !== zone) return undefined
    return inForce(keyText({ ...row.key, origin: globalOrigin })) ? undefined : row
  }

  function count(entry: IndexEntry, text: string, step: 1 | -1): void {
    const member = entry.member ?? text
    const found = members.get(entry.range) ?? new Map<string, Member>()
    const now = (found.get(member)?.count ?? 0) + step
    if (now === 0) found.delete(member)
    else found.set(member, { count: now, tags: entry.tags })
    if ((now === 0 && step === -1) || (now === 1 && step === 1)) touchedRanges.add(entry.range)
    if (found.size === 0) members.delete(entry.range)
    else members.set(entry.range, found)
  }

  function entriesOf({ key, parsed }: Stored): readonly IndexEntry[] {
    const index = kindByName.get(key.kind)?.compiled.index
    // The row was parsed by the kind that the index belongs to. A row that cannot be parsed is found by its name only, so that a
    // Mesh is not taken for absent.
    if (parsed) return index?.(parsed as TypedRow<never>, zone) ?? []
    return isNeeded(key.kind) ? [{ range: ranges.named(key.kind, key.mesh, key.name) }] : []
  }

  const cellValue = (row: Stored | undefined) => (row && isHeld(row) ? held : row?.parsed)

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

  function readRow<K extends AnyKind>(kind: K, text: string): TypedRow<SpecOf<K>> | undefined {
    let cell = rowCells.get(text)
    if (!cell) {
      cell = units.cell<TypedRow<unknown> | typeof held | undefined>(
        text,
        cellValue(visible(text)),
        () => void rowCells.delete(text),
      )
      rowCells.set(text, cell)
    }
    const row = cell.read()
    if (row === held) throw new HeldError(`${text} is quarantined, and nothing can be made without it`)
    // A row of this kind was parsed by the kind of that name.
    return row?.key.kind === kind.name ? (row as TypedRow<SpecOf<K>>) : undefined
  }

  /** A row, and the own one of the same name that it may stand before. */
  function updateNamed({ key }: { readonly key: Row['key'] }): void {
    update(keyText(key))
    if (key.origin === globalOrigin && !isOfZone(key.kind)) update(keyText({ ...key, origin: zone }))
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
     * Takes over what changed. Readers are marked; nothing is computed. Returns the rows that are held back because they cannot
     * be parsed or cannot be taken over; all others are there.
     */
    apply(versions: readonly Version[]): readonly HeldRow[] {
      const unsound: HeldRow[] = []
      const holdBack = ({ key, stamp }: RowVersion, reason: string) => {
        unsound.push({ row: { key, stamp }, reason })
        heldByRow.set(keyText(key), rowVersion(stamp))
      }
      for (const version of versions) {
        const { key, row } = version
        const kind = kindByName.get(key.kind)
        if (!kind) continue
        const text = keyText(key)
        const parsed = row && parseAs(kind, row)
        if (row) stored.set(text, { key, stamp: row.stamp, parsed: parsed?.ok ? parsed.value : undefined })
        else stored.delete(text)
        // What is held back is one version, not the row for ever.
        if (!row || !isHeld(row)) heldByRow.delete(text)
        if (row && parsed && !parsed.ok && !isHeld(row)) holdBack(row, reasonOf(parsed.error))
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
    /** Outside of compilation only: the version of a row that is stored, held back or not. */
    stored: (text: string): RowVersion | undefined => stored.get(text),
    /** A row by the text of its key. Undefined too if it is of another kind. */
    row: readRow,
    /** The one object for a tag set. */
    tagSet,
    /** Members of a range, sorted. */
    range: readRange,
    /** Those of a range whose members are tag sets. */
    tagSets: (range: string): readonly TagSet[] =>
      readRange(range).flatMap((member) => {
        const { tags } = members.get(range)?.get(member) ?? {}
        return tags ? [tagSet(tags)] : []
      }),
    /** Rows of a range, in key order. */
    rows: <K extends AnyKind>(kind: K, range: string): readonly TypedRow<SpecOf<K>>[] =>
      readRange(range).flatMap((text) => readRow(kind, text) ?? []),
    /** The one row of this name that is in force. */
    named<K extends AnyKind>(kind: K, mesh: string, name: string): TypedRow<SpecOf<K>> | undefined {
      const [text] = readRange(ranges.named(kind.name, mesh, name))
      return text === undefined ? undefined : readRow(kind, text)
    },
  }
}
export type View = ReturnType<typeof createView>
