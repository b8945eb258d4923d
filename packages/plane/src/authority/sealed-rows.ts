import type { Row } from '@zonemesh/shared/resource/resource.ts'

/** The field of each kind with content that only its own plane can open. */
const fieldByKind: Readonly<Record<string, string>> = {
  Secret: 'sealed',
  GlobalSecret: 'sealed',
  MeshRoot: 'sealedKey',
  AuthorityKey: 'sealedKey',
  SecretKey: 'sealedKey',
}

/** The kinds whose rows contain something sealed with the seal key of a data folder. */
export const sealedKinds: readonly string[] = Object.keys(fieldByKind)

/** The sealed text in a row; undefined if there is none, as in the root of a provided authority. */
export function sealedText({ key, spec }: Pick<Row, 'key' | 'spec'>): string | undefined {
  const field = fieldByKind[key.kind]
  // A row that cannot be parsed may have any value as its spec.
  const value = field === undefined || spec === null ? undefined : spec[field]
  return typeof value === 'string' && value !== '' ? value : undefined
}
