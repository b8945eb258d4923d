import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'

/** The properties of a listener's certificate that can be read without trusting it. */
export interface PemFacts {
  readonly keyType: 'rsa' | 'ecdsa'
}

const block = /-----BEGIN ([^-\n]+)-----([^-]*)-----END \1-----/g

/** The bytes of an object identifier in DER, as hexadecimal digits. */
const keyTypeByOid: Readonly<Record<string, PemFacts['keyType']>> = {
  '06092a864886f70d010101': 'rsa',
  '06072a8648ce3d0201': 'ecdsa',
}

/**
 * Reads a certificate and its key from one text: exactly one RSA or ECDSA key, at least one certificate, nothing else.
 * Errors use Kuma's wording. Does not check the content of the certificate, nor whether key and certificate match.
 */
export function readPem(text: string): Result<PemFacts, string> {
  let keyType: PemFacts['keyType'] | undefined
  let certificates = 0
  for (const [, type = '', body = ''] of text.matchAll(block)) {
    const bytes = decodeBase64(body)
    if (bytes === undefined) return err(`PEM block "${type}" is not base64`)
    if (type.endsWith('PRIVATE KEY')) {
      if (keyType) return err('secret contains multiple private keys')
      const found = keyTypeOf(type, bytes)
      if (!found) return err(`unsupported private key type "${type}"`)
      keyType = found
    } else if (type.endsWith('CERTIFICATE')) certificates += 1
    else return err(`unsupported PEM block "${type}"`)
  }
  if (certificates === 0) return err('missing server certificate')
  return keyType ? ok({ keyType }) : err('missing private key')
}

function keyTypeOf(type: string, der: string): PemFacts['keyType'] | undefined {
  if (type === 'RSA PRIVATE KEY') return 'rsa'
  if (type === 'EC PRIVATE KEY') return 'ecdsa'
  if (type !== 'PRIVATE KEY') return undefined
  // A PKCS #8 key begins with its version and algorithm, so the first object identifier is the key type.
  const head = [...der.slice(0, 64)].map((one) => one.charCodeAt(0).toString(16).padStart(2, '0')).join('')
  return Object.entries(keyTypeByOid).find(([oid]) => head.includes(oid))?.[1]
}

/** The bytes as a text with one character per byte; undefined if the text is not base64. */
export function decodeBase64(text: string): string | undefined {
  try {
    return atob(text)
  } catch {
    return undefined
  }
}
