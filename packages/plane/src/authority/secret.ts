import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Sealer } from './seal.ts'
import { sealedText } from './sealed-rows.ts'

/** The data of a secret row, opened. */
export function secretData(sealer: Sealer, row: Row): string {
  const sealed = sealedText(row)
  return sealed === undefined ? '' : sealer.open(sealed)
}

/** The text in a secret row. As in Kuma, the data of a secret is base64. */
export const secretText = (sealer: Sealer, row: Row): string =>
  Buffer.from(secretData(sealer, row), 'base64').toString('utf8')
