import { ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { TypedRow } from './kinds/kind.ts'
import { parseAs, parseSpec, type Violations } from './kinds/row.ts'
import { compiledKinds, findKind } from './registry.ts'

/**
 * Parses a row of any origin with the schema of its kind. A row of an unknown kind is returned unparsed, because
 * nothing reads it.
 */
export function parseRow(row: Row): Result<TypedRow<unknown>, Violations> {
  const kind = findKind(row.key.kind)
  return kind ? parseAs(kind, row) : ok(row)
}

type Written = Omit<Row, 'stamp'>

/** Kinds whose rows need virtual addresses. */
export const namingKinds: ReadonlySet<string> = new Set(
  compiledKinds.filter(({ compiled }) => compiled.names).map(({ name }) => name),
)

/** The services and hosts of its mesh that need a virtual address because of this row, each once. */
export function namesOf(row: Written, zone: string): readonly string[] {
  const kind = findKind(row.key.kind)
  const parsed = kind?.compiled?.names && parseSpec(kind, row)
  if (!parsed?.ok) return []
  const { key, labels } = row
  // The spec was parsed by the kind that the function belongs to.
  return [...new Set(kind?.compiled?.names?.({ key, labels, spec: parsed.value as never }, zone))]
}

/** The names of the kinds whose rows name Secrets of listeners. */
export const secretKinds: readonly string[] = compiledKinds
  .filter(({ compiled }) => compiled.secrets)
  .map(({ name }) => name)

/** The Secrets of its mesh whose certificates zones need because of this row. */
export function secretsOf(row: Written): readonly string[] {
  const kind = findKind(row.key.kind)
  const parsed = kind?.compiled?.secrets && parseSpec(kind, row)
  // The spec was parsed by the kind that the function belongs to.
  return parsed?.ok ? (kind?.compiled?.secrets?.(parsed.value as never) ?? []) : []
}
