import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readPem } from '@zonemesh/core/kinds/pem.ts'
import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { certificatesIn, keyIn } from '../authority/pem.ts'

/** A certificate with its chain and its private key. */
export interface ListenerCertificate {
  readonly keyType: 'rsa' | 'ecdsa'
  /** The alternative names; the common name if there are none. */
  readonly names: readonly string[]
  readonly notAfterMs: number
  /** SHA-256 of all certificates in hex. For a single certificate this is its usual fingerprint. */
  readonly fingerprint: string
  readonly chain: string
  readonly key: string
}

/** The fault of a key that Envoy would reject: a weak key, or an unsupported curve. */
function keyFault(key: KeyObject): string | undefined {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa')
    return (modulusLength ?? 0) < 2_048 ? `expected an RSA key of 2048 bits or more, found ${modulusLength}` : undefined
  return ['prime256v1', 'secp384r1', 'secp521r1'].includes(namedCurve ?? '')
    ? undefined
    : `expected a key on P-256, P-384 or P-521, found ${namedCurve}`
}

function namesOf(certificate: X509Certificate): string[] {
  const names = [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,"]+)/g)].map(
    ([, name = '']) => name,
  )
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  return names.length > 0 ? names : common === undefined ? [] : [common]
}

/** Reads the certificate in a secret of a listener. The error is one sentence and reveals nothing of the key. */
export function readListenerCertificate(text: string): Result<ListenerCertificate, string> {
  const facts = readPem(text)
  if (!facts.ok) return facts
  const chain = certificatesIn(text)
  const key = keyIn(text) ?? ''
  try {
    const certificates = chain.map((pem) => new X509Certificate(pem))
    const [leaf] = certificates
    if (!leaf) return err('missing server certificate')
    const opened = createPrivateKey(key)
    if (!leaf.checkPrivateKey(opened)) return err('the private key does not belong to the first certificate')
    const fault = keyFault(opened)
    if (fault !== undefined) return err(fault)
    const hash = createHash('sha256')
    for (const { raw } of certificates) hash.update(raw)
    return ok({
      keyType: facts.value.keyType,
      names: namesOf(leaf),
      notAfterMs: new Date(leaf.validTo).getTime(),
      fingerprint: hash.digest('hex'),
      chain: chain.join(''),
      key,
    })
  } catch (thrown) {
    return err(`cannot read the certificate or its key: ${messageOf(thrown)}`)
  }
}
