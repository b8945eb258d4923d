import {
  CompactEncrypt,
  calculateJwkThumbprint,
  compactDecrypt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  importJWK,
} from 'jose'

/** The public half of a zone's key, and what tells it from the keys that the zone had before. */
export interface PublicKey {
  readonly keyId: string
  readonly publicKey: Readonly<Record<string, string>>
}

const algorithm = 'ECDH-ES+A256KW'
const encryption = 'A256GCM'

/** Members of a JWK on a curve are texts. */
const texts = (jwk: object): Record<string, string> =>
  Object.fromEntries(Object.entries(jwk).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

/** A new key pair of a zone; the private half as JSON. */
export async function createSecretKey(): Promise<PublicKey & { readonly privateKey: string }> {
  const pair = await generateKeyPair(algorithm, { crv: 'P-256', extractable: true })
  const publicKey = texts(await exportJWK(pair.publicKey))
  return {
    keyId: await calculateJwkThumbprint(publicKey),
    publicKey,
    privateKey: JSON.stringify(await exportJWK(pair.privateKey)),
  }
}

/** Closes a text so that only the zone with this key opens it. The same text looks different each time. */
export async function sealFor({ keyId, publicKey }: PublicKey, plain: string): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plain))
    .setProtectedHeader({ alg: algorithm, enc: encryption, kid: keyId })
    .encrypt(await importJWK(publicKey, algorithm))
}

/** Opens what was sealed for this key. Throws if it was for another one. */
export async function openSealed(privateKey: string, sealed: string): Promise<string> {
  const { plaintext } = await compactDecrypt(sealed, await importJWK(JSON.parse(privateKey), algorithm), {
    keyManagementAlgorithms: [algorithm],
    contentEncryptionAlgorithms: [encryption],
  })
  return new TextDecoder().decode(plaintext)
}

/** Which key a text was sealed for; undefined if nobody can tell. */
export function keyIdOf(sealed: string): string | undefined {
  try {
    return decodeProtectedHeader(sealed).kid
  } catch {
    return undefined
  }
}
