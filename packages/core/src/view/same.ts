/**
 * Whether two values of configuration are equal by content. Identity is checked first, so shared parts cost nothing.
 */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && sameLists(a, b)
  if (a instanceof Uint8Array) return b instanceof Uint8Array && sameLists(a, b)
  if (a instanceof Map) return b instanceof Map && sameMaps(a, b)
  if (a instanceof Set) return b instanceof Set && a.size === b.size && [...a].every((one) => b.has(one))
  return !isCollection(b) && sameObjects(a, b)
}

const isCollection = (value: object): boolean =>
  Array.isArray(value) || value instanceof Uint8Array || value instanceof Map || value instanceof Set

function sameLists(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at += 1) if (!same(a[at], b[at])) return false
  return true
}

function sameMaps(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (!b.has(key) || !same(value, b.get(key))) return false
  return true
}

function sameObjects(a: object, b: object): boolean {
  const entries = Object.entries(a)
  if (entries.length !== Object.keys(b).length) return false
  const other = new Map(Object.entries(b))
  return entries.every(([key, value]) => other.has(key) && same(value, other.get(key)))
}
