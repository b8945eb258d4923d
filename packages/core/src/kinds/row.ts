import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { z } from 'zod'
import { type Kind, type TypedRow, type Violation, violationsOf } from './kind.ts'
import { wording } from './wording.ts'

/** The parts of a kind that parsing needs. */
export type AnyKind = Pick<Kind, 'name' | 'scope' | 'peerSchema'>
export type SpecOf<K extends AnyKind> = z.infer<K['peerSchema']>

/** The violations of a row; at least one. */
export type Violations = readonly [Violation, ...Violation[]]

/**
 * Parses the spec of a row with the schema of its kind. Rows of other planes have not passed our admission, so specs
 * must be parsed before use. Both spellings of fields, durations and enums come out in the form that admission stores.
 * Fields that only a newer plane has are dropped. Rules that the schema cannot express are left to the readers.
 */
export function parseSpec<K extends AnyKind>(
  kind: K,
  { key, spec }: Pick<Row, 'key' | 'spec'>,
): Result<SpecOf<K>, Violations> {
  const badPart = partFault('name', key.name) ?? (kind.scope === 'mesh' ? partFault('mesh', key.mesh) : undefined)
  if (badPart) return err([badPart])
  try {
    const parsed = kind.peerSchema.safeParse(spec, { error: wording })
    // The value comes from the schema of the kind, and SpecOf is the type of that schema.
    if (parsed.success) return ok(parsed.data as SpecOf<K>)
    const [first = unknownFault, ...others] = violationsOf('', parsed.error.issues.slice(0, violationsMax)).map(shown)
    return err([first, ...others])
  } catch (thrown) {
    // The spec is nested so deeply that parsing it exhausts the stack.
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

/** The spec of a row; undefined if the row does not match the schema. */
export function specOf<K extends AnyKind>(kind: K, row: Pick<Row, 'key' | 'spec'>): SpecOf<K> | undefined {
  const parsed = parseSpec(kind, row)
  return parsed.ok ? parsed.value : undefined
}

/**
 * The spec of a row that its own plane wrote. Throws if it does not match the schema, because then something else wrote
 * to the store.
 */
export function requireSpec<K extends AnyKind>(kind: K, row: Pick<Row, 'key' | 'spec'>): SpecOf<K> {
  const parsed = parseSpec(kind, row)
  if (parsed.ok) return parsed.value
  throw new Error(`${keyText(row.key)} cannot be parsed: ${reasonOf(parsed.error)}`)
}

/** The parsed rows of a kind. Rows that cannot be parsed are left out. */
export const parsedRows = <K extends AnyKind>(kind: K, rows: readonly Row[]): readonly TypedRow<SpecOf<K>>[] =>
  rows.flatMap((row) => {
    const parsed = parseAs(kind, row)
    return parsed.ok ? [parsed.value] : []
  })

/** The first violation as one sentence, for fields that hold a single reason. */
export const reasonOf = ([{ field, reason }]: Violations): string => `${field}: ${reason}`

const unknownFault: Violation = { field: 'spec', reason: 'is not valid' }

/** In the text form of keys, "/" separates the parts. */
function partFault(field: string, part: string): Violation | undefined {
  if (part === '') return { field, reason: 'cannot be empty' }
  return part.includes('/') ? { field, reason: `expected no "/", found "${shortened(part)}"` } : undefined
}

const violationsMax = 10
const charactersMax = 200

/** Reasons are synced with every bookmark, and a text from a peer may be very long. */
const shortened = (text: string): string => (text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}…`)

const shown = ({ field, reason }: Violation): Violation => ({
  field: field === '' ? 'spec' : shortened(field),
  reason: shortened(reason),
})
