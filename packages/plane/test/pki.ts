import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

/** A provided certificate with its key, both in PEM. */
export interface Pair {
  readonly certificate: string
  readonly key: string
}

interface PairOptions {
  readonly type?: 'rsa' | 'ecdsa'
  readonly curve?: 'P-256' | 'P-384' | 'P-521'
  readonly rsaBits?: number
  readonly names?: readonly string[]
  readonly commonName?: string
  readonly authority?: { readonly pathLength?: number } | undefined
  readonly usages?: number
  readonly nowMs?: number
  readonly days?: number
  readonly issuer?: Pair
}

const dayMs = 86_400_000
const pem = (bytes: ArrayBuffer): string => x509.PemConverter.encode(bytes, 'PRIVATE KEY')
const { keyCertSign, cRLSign, digitalSignature } = x509.KeyUsageFlags

function algorithmOf({ type = 'ecdsa', curve = 'P-256', rsaBits = 2_048 }: PairOptions) {
  if (type === 'ecdsa') return { name: 'ECDSA', namedCurve: curve, hash: 'SHA-256' }
  const publicExponent = new Uint8Array([1, 0, 1])
  return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: rsaBits, publicExponent }
}

/** Creates a certificate as other tools do: any key, any names, self-signed or signed by an authority on P-256. */
export async function createPair(options: PairOptions): Promise<Pair> {
  const { names = [], authority, nowMs = Date.now(), days = 90, issuer } = options
  const algorithm = algorithmOf(options)
  // Both algorithms generate key pairs.
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const own = pem(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const subject = `CN=${options.commonName ?? names[0] ?? 'somebody'}`
  const signingKey = issuer
    ? await webcrypto.subtle.importKey(
        'pkcs8',
        x509.PemConverter.decodeFirst(issuer.key),
        { name: 'ECDSA', namedCurve: 'P-256' },
        false,
        ['sign'],
      )
    : keys.privateKey
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex'),
    subject,
    issuer: issuer ? new x509.X509Certificate(issuer.certificate).subjectName : subject,
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + days * dayMs),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: issuer ? { name: 'ECDSA', hash: 'SHA-256' } : algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(authority !== undefined, authority?.pathLength, true),
      new x509.KeyUsagesExtension(options.usages ?? (authority ? keyCertSign | cRLSign : digitalSignature), true),
      ...(names.length > 0
        ? [
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
            ),
          ]
        : []),
      // As with some tools, the identifier is not the hash of the key.
      ...(authority ? [new x509.SubjectKeyIdentifierExtension('0102030405060708')] : []),
    ],
  })
  return { certificate: `${certificate.toString('pem')}\n`, key: `${own}\n` }
}

export const together = ({ certificate, key }: Pair): string => certificate + key
