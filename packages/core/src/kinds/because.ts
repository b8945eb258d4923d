/**
 * The rows whose content a part of a model shows: their key texts, sorted, each once. Empty if nothing but built-in values
 * decided it. The rows of what a part stands in, and of what it refers to by name, are there and not repeated here.
 */
export type Because = readonly string[]

/** What was decided by some rows, and has their names. */
export interface Decided {
  readonly because: Because
}

const nothing: Because = []

/** These rows, where they are given. */
export function because(...rows: readonly (string | undefined)[]): Because {
  const [first, ...others] = rows
  if (others.length === 0) return first === undefined ? nothing : [first]
  return sorted(new Set(rows.filter((row) => row !== undefined)))
}

/** All rows that decided any of these parts. */
export function becauseOfAll(parts: readonly Decided[]): Because {
  const [first] = parts
  if (!first) return nothing
  if (parts.every((one) => one.because === first.because)) return first.because
  return sorted(new Set(parts.flatMap((one) => one.because)))
}

const sorted = (keys: ReadonlySet<string>): Because => (keys.size === 0 ? nothing : [...keys].sort())
