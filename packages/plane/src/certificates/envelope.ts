import {
  CompactEncrypt,
  calculateJwkThumbprint,
  compactDecrypt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  importJWK,
} from 'jose'

/** The public key of a zone, with an id that distinguishes it from the zone's former keys. */
export interface PublicKey {
  readonly keyId: string
  readonly publicKey: Readonly<Record<string, string>>
}

const algorithm = 'ECDH-ES+A256KW'
const encryption = 'A256GCM'

/** The string members of a JWK: an elliptic-curve key has no others. */
const texts = (jwk: object): Record<string, string> =>
  Object.fromEntries(Object.entries(jwk).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))

/** Creates the key pair of a zone. The private key is JSON. */
export async function createSecretKey(): Promise<PublicKey & { readonly privateKey: string }> {
  const pair = await generateKeyPair(algorithm, { crv: 'P-256', extractable: true })
  const publicKey = texts(await exportJWK(pair.publicKey))
  return {
    keyId: await calculateJwkThumbprint(publicKey),
    publicKey,
    privateKey: JSON.stringify(await exportJWK(pair.privateKey)),
  }
}

/** Encrypts a text for the zone with this key. The result differs each time. */
export async function sealFor({ keyId, publicKey }: PublicKey, plain: string): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(plain))
    .setProtectedHeader({ alg: algorithm, enc: encryption, kid: keyId })
    .encrypt(await importJWK(publicKey, algorithm))
}

/** Decrypts a text that was sealed for this key. Throws if it was sealed for another one. */
export async function openSealed(privateKey: string, sealed: string): Promise<string> {
  const { plaintext } = await compactDecrypt(sealed, await importJWK(JSON.parse(privateKey), algorithm), {
    keyManagementAlgorithms: [algorithm],
    contentEncryptionAlgorithms: [encryption],
  })
  return new TextDecoder().decode(plaintext)
}

/** The id of the key for which a text was sealed; undefined if its header cannot be read. */
export function keyIdOf(sealed: string): string | undefined {
  try {
    return decodeProtectedHeader(sealed).kid
  } catch {
    return undefined
  }
}
