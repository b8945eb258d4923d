import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { z } from 'zod'
import { type Kind, type TypedRow, type Violation, violationsOf } from './kind.ts'

/** A kind with the type of its schema, so that what is parsed by it is typed. */
export type AnyKind = Pick<Kind, 'name' | 'scope' | 'peerSchema'>
export type SpecOf<K extends AnyKind> = z.infer<K['peerSchema']>

/** What is wrong with a row: at least one thing. */
export type Violations = readonly [Violation, ...Violation[]]

/**
 * Reads the spec of a row as one of its kind. Rows of other planes were not admitted here, so nothing trusts a spec before it was parsed. Both
 * spellings of fields, durations and enumerations come out as admission stores them; fields that only a newer plane knows are left
 * out. What the schema cannot express is left to the readers.
 */
export function parseSpec<K extends AnyKind>(
  kind: K,
  { key, spec }: Pick<Row, 'key' | 'spec'>,
): Result<SpecOf<K>, Violations> {
  const badPart = partFault('name', key.name) ?? (kind.scope === 'mesh' ? partFault('mesh', key.mesh) : undefined)
  if (badPart) return err([badPart])
  try {
    const parsed = kind.peerSchema.safeParse(spec)
    // The schema of the kind returned it, and SpecOf is the type of that schema.
    if (parsed.success) return ok(parsed.data as SpecOf<K>)
    const [first = unknownFault, ...others] = violationsOf('', parsed.error.issues.slice(0, violationsMax)).map(shown)
    return err([first, ...others])
  } catch (thrown) {
    // Nested so deeply that walking it exhausts the stack.
    return err([{ field: 'spec', reason: messageOf(thrown) }])
  }
}

/** A row with its spec as `parseSpec` reads it. */
export function parseAs<K extends AnyKind>(kind: K, row: Row): Result<TypedRow<SpecOf<K>>, Violations> {
  const parsed = parseSpec(kind, row)
  if (!parsed.ok) return parsed
  const { key, stamp, labels } = row
  return ok({ key, stamp, labels, spec: parsed.value })
}

/** The spec of a row; undefined if the row is not one of its kind. */
export function specOf<K extends AnyKind>(kind: K, row: Pick<Row, 'key' | 'spec'>): SpecOf<K> | undefined {
  const parsed = parseSpec(kind, row)
  return parsed.ok ? parsed.value : undefined
}

/** The spec of a row that its own plane wrote. Throws if it is not one of its kind: something else wrote into the store. */
export function requireSpec<K extends AnyKind>(kind: K, row: Pick<Row, 'key' | 'spec'>): SpecOf<K> {
  const parsed = parseSpec(kind, row)
  if (parsed.ok) return parsed.value
  throw new Error(`${keyText(row.key)} cannot be parsed: ${reasonOf(parsed.error)}`)
}

/** Rows of a kind with their specs; those that cannot be parsed are left out. */
export const parsedRows = <K extends AnyKind>(kind: K, rows: readonly Row[]): readonly TypedRow<SpecOf<K>>[] =>
  rows.flatMap((row) => {
    const parsed = parseAs(kind, row)
    return parsed.ok ? [parsed.value] : []
  })

/** The first violation in one sentence: a verdict has room for one. */
export const reasonOf = ([{ field, reason }]: Violations): string => `${field}: ${reason}`

const unknownFault: Violation = { field: 'spec', reason: 'is not valid' }

/** Keys have a text form, in which "/" stands between the parts. */
function partFault(field: string, part: string): Violation | undefined {
  if (part === '') return { field, reason: 'cannot be empty' }
  return part.includes('/') ? { field, reason: `expected no "/", found "${shortened(part)}"` } : undefined
}

const violationsMax = 10
const charactersMax = 200

/** Reasons travel with every bookmark; what a stranger wrote may be a megabyte. */
const shortened = (text: string): string => (text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}…`)

const shown = ({ field, reason }: Violation): Violation => ({
  field: field === '' ? 'spec' : shortened(field),
  reason: shortened(reason),
})
