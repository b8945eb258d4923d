import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from 'yaml'

/** The parts of a field path: `a.b[0]["c/d"]` → `a`, `b`, `0`, `c/d`. */
const partsOf = (field: string): string[] =>
  [...field.matchAll(/\["([^"]*)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
    ([, quoted, index, name]) => quoted ?? index ?? name ?? '',
  )

/** snake_case to lowerCamelCase: a document may have either, and violations name the latter. */
const plain = (key: string): string => key.replaceAll('_', '').toLowerCase()

interface Found {
  readonly node: unknown
  /** The offset of the key or of the item. */
  readonly offset: number | undefined
}

function child(node: Node | undefined, part: string, document: Document): Found | undefined {
  const target = isAlias(node) ? node.resolve(document) : node
  if (isSeq(target)) {
    const item: unknown = target.items[Number(part)]
    return item === undefined ? undefined : { node: item, offset: offsetOf(item) }
  }
  if (!isMap(target)) return undefined
  const pair = target.items.find(({ key }) => isScalar(key) && plain(String(key.value)) === plain(part))
  return pair && { node: pair.value, offset: offsetOf(pair.key) }
}

function offsetOf(node: unknown): number | undefined {
  return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range?.[0] : undefined
}

/**
 * The offset of a field in a YAML document, as violations name it. If the field is absent, that of the deepest part that
 * is there. Fields of a document in the Kubernetes form stand below `spec`, and its name below `metadata`.
 */
export function offsetOfField(document: Document, field: string): number | undefined {
  const roots = [[], ['spec'], ['metadata']]
  const found = roots.map((root) => walk(document, [...root, ...partsOf(field)], root.length))
  return found.reduce((best, one) => (one.depth > best.depth ? one : best)).offset
}

function walk(document: Document, parts: readonly string[], free: number) {
  let node: unknown = document.contents
  let offset = offsetOf(node)
  let depth = -free
  for (const part of parts) {
    const next = child(isMap(node) || isSeq(node) || isAlias(node) ? node : undefined, part, document)
    if (!next) break
    node = next.node
    offset = next.offset ?? offset
    depth += 1
  }
  return { offset, depth }
}
