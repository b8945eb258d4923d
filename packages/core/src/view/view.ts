import { messageOf } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText, type Row, type Stamp } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import type { Tags } from '../kinds/common.ts'
import type { IndexEntry, TypedRow } from '../kinds/kind.ts'
import { ranges } from '../kinds/ranges.ts'
import { type AnyKind, parseAs, reasonOf, type SpecOf } from '../kinds/row.ts'
import { createTagSets, type TagSet } from '../kinds/tags.ts'
import { compiledKinds } from '../registry.ts'
import type { FaultPoint } from './crash.ts'
import { HeldError } from './problem.ts'
import { same } from './same.ts'
import type { Cell, Units } from './units.ts'

const kindByName = new Map(compiledKinds.map((kind) => [kind.name, kind]))

const isOfZone = (kind: string): boolean => kindByName.get(kind)?.compiled.owner === 'zone'
const isNeeded = (kind: string): boolean => kindByName.get(kind)?.compiled.needed === true

/**
 * Identifies one version of a row. The text is the same in every zone, because it depends only on the owner's order of
 * changes.
 */
export const rowVersion = ({ incarnation, originRevision }: Stamp): string => `${incarnation}.${originRevision}`

/** What identifies a version of a row. */
export type RowVersion = Pick<Row, 'key' | 'stamp'>

/** A version of a row that is held back, and the reason. */
export interface HeldRow {
  readonly row: RowVersion
  readonly reason: string
}

/** The stored version. `parsed` is undefined if the spec does not match the schema of its kind. */
interface Stored extends RowVersion {
  readonly parsed: TypedRow<unknown> | undefined
}

interface Member {
  readonly count: number
  readonly tags: Tags | undefined
}

/** The value of the cell of a needed row that is held back. */
const held: unique symbol = Symbol('held')

/**
 * The rows of one mark as the compiler sees them. A reader of `row` or `range` depends only on that key or range,
 * present or absent. The view excludes held versions, and rows of other zones that this zone does not use, such as
 * their policies and gateways.
 */
export function createView(units: Units, zone: string, faultPoint?: FaultPoint) {
  const heldByRow = new Map<string, string>()
  /** Each version is parsed once, when it arrives. */
  const stored = new Map<string, Stored>()
  const entriesByRow = new Map<string, readonly IndexEntry[]>()
  const tagSet = createTagSets()
  /**
   * range → member → the number of entries that put the member there, and its tag set if the member is the text of one
   */
  const members = new Map<string, Map<string, Member>>()
  const rowCells = new Map<string, Cell<TypedRow<unknown> | typeof held | undefined>>()
  const rangeCells = new Map<string, Cell<readonly string[]>>()
  const touchedRanges = new Set<string>()

  const listOf = (range: string): readonly string[] => [...(members.get(range)?.keys() ?? [])].sort()

  const isHeld = (row: RowVersion): boolean => heldByRow.get(keyText(row.key)) === rowVersion(row.stamp)

  /** The stored row, unless it is held back. A held row of a needed kind stays, and its readers get a `HeldError`. */
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
    // The index belongs to the kind that parsed the row, so the types agree. A needed row that cannot be parsed is
    // indexed by name only, so that a Mesh does not look absent.
    if (parsed) return index?.(parsed as TypedRow<never>, zone) ?? []
    return isNeeded(key.kind) ? [{ range: ranges.named(key.kind, key.mesh, key.name) }] : []
  }

  const cellValue = (row: Stored | undefined) => (row && isHeld(row) ? held : row?.parsed)

  /** Updates the indexes and the cell of one key to the stored row. */
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
    // Rows are parsed by the kind that their key names, and that is this kind.
    return row?.key.kind === kind.name ? (row as TypedRow<SpecOf<K>>) : undefined
  }

  /** Updates a row, and the row of this zone with the same name that it may hide. */
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
     * Applies changes. Marks readers and computes nothing. Returns the rows that it holds back because they cannot be
     * parsed or indexed; all other rows are applied.
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
        // Only one version is held back. Another version of the row counts again.
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
    /** Ignores this version of a row from now on. The version may arrive later. */
    hold(text: string, version: string): void {
      heldByRow.set(text, version)
      const row = stored.get(text)
      if (row) updateNamed(row)
      writeRanges()
    },
    /** Stops holding back a row. */
    release(text: string): void {
      heldByRow.delete(text)
      const row = stored.get(text)
      if (row) updateNamed(row)
      writeRanges()
    },
    isHeld,
    /** The stored version of a row, held back or not. Units must not call it, because it records no dependency. */
    stored: (text: string): RowVersion | undefined => stored.get(text),
    /** A row by the text of its key. Undefined if the row is absent or of another kind. */
    row: readRow,
    /** The interned object of a tag set. */
    tagSet,
    /** Members of a range, sorted. */
    range: readRange,
    /** The tag sets of a range whose members are tag sets. */
    tagSets: (range: string): readonly TagSet[] =>
      readRange(range).flatMap((member) => {
        const { tags } = members.get(range)?.get(member) ?? {}
        return tags ? [tagSet(tags)] : []
      }),
    /** Rows of a range, in key order. */
    rows: <K extends AnyKind>(kind: K, range: string): readonly TypedRow<SpecOf<K>>[] =>
      readRange(range).flatMap((text) => readRow(kind, text) ?? []),
    /** The row of this name that is in force. */
    named<K extends AnyKind>(kind: K, mesh: string, name: string): TypedRow<SpecOf<K>> | undefined {
      const [text] = readRange(ranges.named(kind.name, mesh, name))
      return text === undefined ? undefined : readRow(kind, text)
    },
  }
}
export type View = ReturnType<typeof createView>
