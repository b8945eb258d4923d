/**
 * The rows that decided a part of a model: their key texts, sorted, each once. Empty if only built-in values decided
 * it. The rows of the enclosing part, and of parts that it refers to by name, are listed there and not repeated.
 */
export type Because = readonly string[]

/** A value with the names of the rows that decided it. */
export interface Decided {
  readonly because: Because
}

const nothing: Because = []

/** The given rows without the undefined ones. */
export function because(...rows: readonly (string | undefined)[]): Because {
  const [first, ...others] = rows
  if (others.length === 0) return first === undefined ? nothing : [first]
  return sorted(new Set(rows.filter((row) => row !== undefined)))
}

/** All rows that decided at least one of these parts. */
export function becauseOfAll(parts: readonly Decided[]): Because {
  const [first] = parts
  if (!first) return nothing
  if (parts.every((one) => one.because === first.because)) return first.because
  return sorted(new Set(parts.flatMap((one) => one.because)))
}

const sorted = (keys: ReadonlySet<string>): Because => (keys.size === 0 ? nothing : [...keys].sort())
