import { byCodeUnit } from '@zonemesh/shared/base/base.ts'

const lineMax = 140

/**
 * JSON in one canonical form: keys in the order of their code units, no undefined fields, and each value on one line if it fits. The
 * contributions of a part are shown as the keys of their rows: a hash of them says nothing that the part does not show.
 */
export function printJson(value: unknown): string {
  return `${printed(plain(value), 0)}\n`
}

function plain(value: unknown): unknown {
  if (value instanceof Map) return [...value.keys()].sort(byCodeUnit)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .sort(([a], [b]) => byCodeUnit(a, b))
      .map(([key, one]) => [key, plain(one)]),
  )
}

/** `before`: how much of the line is taken already. */
function printed(value: unknown, indent: number, before = indent): string {
  const line = onOneLine(value)
  if (typeof value !== 'object' || value === null || before + line.length <= lineMax) return line
  const inside = ' '.repeat(indent + 1)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const parts = Array.isArray(value)
    ? value.map((one) => inside + printed(one, indent + 1))
    : Object.entries(value).map(([key, one]) => {
        const start = `${inside}${JSON.stringify(key)}: `
        return start + printed(one, indent + 1, start.length)
      })
  return `${open}\n${parts.join(',\n')}\n${' '.repeat(indent)}${close}`
}

function onOneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(onOneLine).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${onOneLine(one)}`)
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`
}

/** A shorter value stays as it is, which is easier to read than a note. */
const notedMin = 60

/**
 * A field whose only value in `base` is the one that it has here is replaced by a note, so that a file holds what is its own. A
 * field of which `base` has several values stays: the note would not say which.
 */
export function withoutBase(value: unknown, base: unknown, note: string): unknown {
  const textsByField = new Map<string, Set<string>>()
  visit(plain(base), (field, one) => {
    const texts = textsByField.get(field) ?? new Set()
    textsByField.set(field, texts.add(onOneLine(one)))
  })
  const noted = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(noted)
    if (typeof one !== 'object' || one === null) return one
    return Object.fromEntries(
      Object.entries(one).map(([field, inner]) => {
        const text = onOneLine(inner)
        const texts = textsByField.get(field)
        const isNoted = text.length >= notedMin && texts?.size === 1 && texts.has(text)
        return [field, isNoted ? note : noted(inner)]
      }),
    )
  }
  return noted(plain(value))
}

/** Calls back for every field of every object in a value. */
function visit(value: unknown, seen: (field: string, value: unknown) => void): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) for (const [field, one] of Object.entries(value)) seen(field, one)
  for (const one of Object.values(value)) visit(one, seen)
}
