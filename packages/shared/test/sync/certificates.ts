import 'reflect-metadata'
import { createHash, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export interface TestAuthority {
  /** The server's certificate followed by its authority. */
  readonly cert: string
  readonly key: string
  readonly pinSha256Hex: string
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/**
 * A certificate authority and one server certificate of it, for loopback. The certificate expires `leafMs` from now; a
 * negative number makes one that has expired.
 */
export async function createTestAuthority({ leafMs = 3_600_000 } = {}): Promise<TestAuthority> {
  x509.cryptoProvider.set(webcrypto)
  const times = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) }
  const authorityKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...times,
    serialNumber: '01',
    name: 'CN=test authority',
    signingAlgorithm: algorithm,
    keys: authorityKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const leaf = await x509.X509CertificateGenerator.create({
    notBefore: new Date(Date.now() - 7_200_000),
    notAfter: new Date(Date.now() + leafMs),
    serialNumber: '02',
    subject: 'CN=global',
    issuer: authority.subject,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1'])],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    cert: `${leaf.toString('pem')}\n${authority.toString('pem')}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${(pkcs8.match(/.{1,64}/g) ?? []).join('\n')}\n-----END PRIVATE KEY-----\n`,
    pinSha256Hex: createHash('sha256').update(Buffer.from(authority.rawData)).digest('hex'),
  }
}
