import { inlineLabel } from '@zonemesh/core/kinds/inline-keys.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'

/** What commands that compare files with a plane may take as theirs. Everything else stays as it is. */

/**
 * The kinds whose resources users write as files on a plane: those that it writes itself, without descriptions of running
 * proxies.
 */
export const kindsOfFiles = (writable: ReadonlySet<string>): readonly Kind[] =>
  publicKinds.filter((kind) => writable.has(kind.name) && !kind.writable.zone)

/**
 * Why no command deletes a resource of this kind because its file is absent; undefined if it may. With a Mesh or a Zone
 * much else is deleted that no file names.
 */
export const reasonToKeep = (kind: Kind): string | undefined =>
  kind.name === 'Mesh' || kind.name === 'Zone'
    ? `much else is deleted with a ${kind.name}: delete it by name`
    : undefined

/** A key that the plane itself has made, to sign tokens. It is of no use on another plane. */
export const isSigningKey = (kind: Kind, item: JsonObject): boolean =>
  kind.adminOnly && String(item['name']).includes('-token-signing-key-')

/** A resource that the plane itself has made: it is never deleted because its file is absent. */
export const isGenerated = (kind: Kind, item: JsonObject): boolean =>
  isSigningKey(kind, item) || (kind.adminOnly && Object(item['labels'])[inlineLabel] !== undefined)
