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

/**
 * The spec of a secret that already holds this data; undefined otherwise. Sealing the same data again gives another
 * text, so a secret that is written again without a change would look like a new one.
 */
export function sameSecret(sealer: Sealer, present: Row | undefined, data: string): Row['spec'] | undefined {
  try {
    return present && secretData(sealer, present) === data ? present.spec : undefined
  } catch {
    // It was sealed with another key: the new data replaces it.
    return undefined
  }
}
