import type { Row } from '@zonemesh/shared/resource/resource.ts'

/** Where each kind keeps what only its plane opens. */
const fieldByKind: Readonly<Record<string, string>> = {
  Secret: 'sealed',
  GlobalSecret: 'sealed',
  MeshRoot: 'sealedKey',
  AuthorityKey: 'sealedKey',
  SecretKey: 'sealedKey',
}

/** The kinds whose rows hold something sealed with the key of a data folder. */
export const sealedKinds: readonly string[] = Object.keys(fieldByKind)

/** What a row holds sealed; undefined where it holds nothing, as the root of a provided authority. */
export function sealedText({ key, spec }: Pick<Row, 'key' | 'spec'>): string | undefined {
  const field = fieldByKind[key.kind]
  // A row that cannot be parsed may have anything for a spec.
  const value = field === undefined || spec === null ? undefined : spec[field]
  return typeof value === 'string' && value !== '' ? value : undefined
}
