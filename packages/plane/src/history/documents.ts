import { withoutInlineKeys } from '@zonemesh/core/kinds/inline-keys.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { byCodeUnit, canonicalJson, type JsonObject, shortHash } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'

/** A row as the document that would write it again: no times, no revision, so that two versions differ only where they do. */
export function documentOf(kind: Kind, row: Row, spec: JsonObject): JsonObject {
  const labels = Object.entries(row.labels).sort(([a], [b]) => byCodeUnit(a, b))
  return {
    ...nameOf(kind, row.key),
    ...(labels.length > 0 ? { labels: Object.fromEntries(labels) } : {}),
    ...(kind.layout === 'nested' ? { spec } : spec),
  }
}

/**
 * As `documentOf`, for people to see. Of a secret only the hash of what lies closed in the store: it tells versions apart, and
 * nobody can find out by guessing what was closed.
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

/** How a row is called in lists of changes; `zone` says whose it is if not this plane's or the global's. */
export const resourceName = (
  kind: Kind,
  key: ResourceKey,
  ownOrigin: string,
): ResourceName & { readonly zone?: string } => ({
  ...nameOf(kind, key),
  ...(key.origin === ownOrigin || key.origin === globalOrigin ? {} : { zone: key.origin }),
})
