import type { JsonObject } from '../base/base.ts'

/** The plane that may change a row: `global` or the name of a zone. No zone may be called `global`. */
export type Origin = string
export const globalOrigin: Origin = 'global'

/** The identity of a row. `mesh` is empty for kinds of global scope. */
export interface ResourceKey {
  readonly origin: Origin
  readonly kind: string
  readonly mesh: string
  readonly name: string
}

/** The owner's stamp. A receiver accepts a row only if its stamp is greater in (incarnation, originRevision). */
export interface Stamp {
  readonly incarnation: number
  readonly originRevision: number
  readonly createdAtMs: number
  readonly modifiedAtMs: number
}

/** One live row: the envelope that `shared` moves, with a spec that only `core` understands. */
export interface Row {
  readonly key: ResourceKey
  readonly stamp: Stamp
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
}

/**
 * The text form of a key. Admission ensures that no part contains "/". Stores sort rows by it and select them by
 * prefix.
 */
export const keyText = (key: ResourceKey): string => `${key.origin}/${key.kind}/${key.mesh}/${key.name}`

export function parseKeyText(text: string): ResourceKey {
  const [origin = '', kind = '', mesh = '', name = ''] = text.split('/')
  return { origin, kind, mesh, name }
}

/** True if `a` is newer than `b`. Both stamps must be of the same owner. */
export const isNewer = (a: Stamp, b: Stamp): boolean =>
  a.incarnation !== b.incarnation ? a.incarnation > b.incarnation : a.originRevision > b.originRevision
