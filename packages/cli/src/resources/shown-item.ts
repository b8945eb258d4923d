import type { Kind, Shown } from '@zonemesh/core/kinds/kind.ts'
import { parseSpec } from '@zonemesh/core/kinds/row.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'

/** The fields of a resource beside its spec. */
const envelope = new Set(['type', 'mesh', 'name', 'creationTime', 'modificationTime', 'labels', 'kri', 'unparsed'])

/** The spec of a resource as an API shows it. */
export function specIn(kind: Kind, item: JsonObject): JsonObject {
  if (kind.layout === 'nested') return Object(item['spec'])
  return Object.fromEntries(Object.entries(item).filter(([key]) => !envelope.has(key)))
}

/** A resource as its columns read it; undefined if it cannot be parsed. */
export function shownIn(kind: Kind, item: JsonObject): Shown<never> | undefined {
  const [name, mesh] = [String(item['name']), String(item['mesh'] ?? '')]
  const parsed = parseSpec(kind, { key: { origin: '', kind: kind.name, mesh, name }, spec: specIn(kind, item) })
  if (item['unparsed'] !== undefined || !parsed.ok) return undefined
  // The spec was parsed with the schema of this kind, whose columns read it.
  return { name, labels: Object(item['labels']), spec: parsed.value as never }
}
