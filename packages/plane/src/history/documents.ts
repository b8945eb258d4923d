import { withoutInlineKeys } from '@zonemesh/core/kinds/inline-keys.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { byCodeUnit, canonicalJson, type JsonObject, shortHash } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'

/**
 * The document that would write a row again. It has no times and no revision, so equal contents give equal documents.
 */
export function documentOf(kind: Kind, row: Row, spec: JsonObject): JsonObject {
  const labels = Object.entries(row.labels).sort(([a], [b]) => byCodeUnit(a, b))
  return {
    ...nameOf(kind, row.key),
    ...(labels.length > 0 ? { labels: Object.fromEntries(labels) } : {}),
    ...(kind.layout === 'nested' ? { spec } : spec),
  }
}

/**
 * The document of a row as shown to users. A secret is replaced by the hash of its sealed text, which distinguishes
 * versions and does not allow a reader to check a guess of the content.
 */
export const shownDocument = (kind: Kind, row: Row): JsonObject =>
  documentOf(
    kind,
    row,
    kind.adminOnly
      ? { hash: `sha256:${shortHash(canonicalJson(row.spec))}` }
      : withoutInlineKeys(kind.name, kind.name === 'Mesh' ? row.key.name : row.key.mesh, row.spec).spec,
  )

export interface ResourceName {
  readonly type: string
  readonly mesh?: string
  readonly name: string
}

const nameOf = (kind: Kind, { mesh, name }: ResourceKey) => ({
  type: kind.name,
  ...(kind.scope === 'mesh' ? { mesh } : {}),
  name,
})

/** The name of a row in lists of changes. `zone` is its owner, if this is neither this plane nor the global. */
export const resourceName = (
  kind: Kind,
  key: ResourceKey,
  ownOrigin: string,
): ResourceName & { readonly zone?: string } => ({
  ...nameOf(kind, key),
  ...(key.origin === ownOrigin || key.origin === globalOrigin ? {} : { zone: key.origin }),
})
