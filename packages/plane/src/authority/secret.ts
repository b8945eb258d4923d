import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Sealer } from './seal.ts'
import { sealedText } from './sealed-rows.ts'

/** The data of a secret row, opened. */
export function secretData(sealer: Sealer, row: Row): string {
  const sealed = sealedText(row)
  return sealed === undefined ? '' : sealer.open(sealed)
}

/** The text in a secret row: data of secrets is base64, as Kuma shows it. */
export const secretText = (sealer: Sealer, row: Row): string =>
  Buffer.from(secretData(sealer, row), 'base64').toString('utf8')
