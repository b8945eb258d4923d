import type { SecretSpec } from '@zonemesh/core/kinds/secret.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Sealer } from './seal.ts'

/** The data of a secret row, opened. */
export function secretData(sealer: Sealer, row: Row): string {
  // Rows of both secret kinds hold what `completeSpec` closed.
  const { sealed } = row.spec as { readonly sealed?: string } & Partial<SecretSpec>
  return sealed === undefined ? '' : sealer.open(sealed)
}

/** The text in a secret row: data of secrets is base64, as Kuma shows it. */
export const secretText = (sealer: Sealer, row: Row): string =>
  Buffer.from(secretData(sealer, row), 'base64').toString('utf8')
