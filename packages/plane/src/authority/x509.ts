import 'reflect-metadata'
import { createHash, createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000

/** A certificate with its private key, both PEM. */
export interface KeyedCertificate {
  readonly certificate: string
  readonly key: string
}

export interface Lifetime {
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Certificates start in the past, so that a peer whose clock is some minutes behind accepts them. */
export const backdatedMs = 300_000

export const lifetime = (nowMs: number, days: number): Lifetime => ({
  notBeforeMs: nowMs - backdatedMs,
  notAfterMs: nowMs + days * dayMs,
})

const pem = (label: string, bytes: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${(
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END ${label}-----\n`

/** Generates a P-256 key pair: PKCS #8 and SubjectPublicKeyInfo in PEM. */
export async function generateKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  return {
    privateKey: pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)),
    publicKey: pem('PUBLIC KEY', await webcrypto.subtle.exportKey('spki', pair.publicKey)),
  }
}

const pemBytes = (text: string): Buffer => Buffer.from(text.replace(/-----[^-]+-----|\s/g, ''), 'base64')

const curves: Readonly<Record<string, { readonly namedCurve: string; readonly hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
}

/**
 * Imports a signing key with its algorithm. A provided authority may have RSA or another curve. Throws if the key
 * cannot sign.
 */
async function signerOf(text: string) {
  const key = createPrivateKey(text)
  const { namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  const curve = curves[namedCurve]
  const isRsa = key.asymmetricKeyType === 'rsa'
  if (!isRsa && !curve)
    throw new Error(`expected an RSA key or one on P-256, P-384 or P-521, found ${namedCurve || key.asymmetricKeyType}`)
  const how = isRsa ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } : { name: 'ECDSA', ...curve }
  const bytes = key.export({ type: 'pkcs8', format: 'der' })
  return { how, key: await webcrypto.subtle.importKey('pkcs8', bytes, how, false, ['sign']) }
}
const importPublic = (text: string) => webcrypto.subtle.importKey('spki', pemBytes(text), algorithm, true, ['verify'])

const serial = (): string => `00${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}`

interface Issue {
  readonly subject: string
  readonly publicKey: string
  readonly issuer: KeyedCertificate | { readonly key: string; readonly certificate?: undefined }
  readonly lifetime: Lifetime
  readonly authority?: { readonly pathLength?: number }
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  readonly uris?: readonly string[]
}

/** Signs one certificate. Without the certificate of an issuer, it is self-signed. */
async function issue(request: Issue): Promise<string> {
  const publicKey = await importPublic(request.publicKey)
  const { issuer, authority } = request
  const names = [
    ...(request.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ips ?? []).map((value) => ({ type: 'ip' as const, value })),
    ...(request.uris ?? []).map((value) => ({ type: 'url' as const, value })),
  ]
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(authority !== undefined, authority?.pathLength, true),
    new x509.KeyUsagesExtension(
      authority
        ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
        : x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyAgreement,
      true,
    ),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ]
  if (!authority)
    extensions.push(
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    )
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names))
  const issuerCertificate = issuer.certificate === undefined ? undefined : new x509.X509Certificate(issuer.certificate)
  if (issuerCertificate) extensions.push(await identifierOf(issuerCertificate))
  const signer = await signerOf(issuer.key)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: request.subject,
    issuer: issuerCertificate?.subjectName ?? request.subject,
    notBefore: new Date(request.lifetime.notBeforeMs),
    notAfter: new Date(request.lifetime.notAfterMs),
    publicKey,
    signingKey: signer.key,
    signingAlgorithm: signer.how,
    extensions,
  })
  return `${certificate.toString('pem')}\n`
}

/** The key identifier in the issuer's own certificate. Some verifiers do not find the issuer if it differs. */
async function identifierOf(issuer: x509.X509Certificate): Promise<x509.AuthorityKeyIdentifierExtension> {
  const own = issuer.getExtension(x509.SubjectKeyIdentifierExtension)
  return own
    ? new x509.AuthorityKeyIdentifierExtension(own.keyId)
    : x509.AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export())
}

/** Creates a self-signed authority. */
export async function createRoot(
  commonName: string,
  life: Lifetime,
  uris: readonly string[] = [],
): Promise<KeyedCertificate> {
  const keys = await generateKeys()
  const certificate = await issue({
    subject: `CN=${commonName}, O=Zonemesh`,
    publicKey: keys.publicKey,
    issuer: { key: keys.privateKey },
    lifetime: life,
    authority: {},
    uris,
  })
  return { certificate, key: keys.privateKey }
}

/** Signs an authority below `root` for a public key. */
export const signIntermediate = (
  root: KeyedCertificate,
  publicKey: string,
  commonName: string,
  life: Lifetime,
  uri: string,
): Promise<string> =>
  issue({
    subject: `CN=${commonName}, O=Zonemesh`,
    publicKey,
    issuer: root,
    lifetime: life,
    authority: { pathLength: 0 },
    uris: [uri],
  })

/** Creates a server certificate for names and addresses. */
export async function createServerCertificate(
  authority: KeyedCertificate,
  hosts: readonly string[],
  life: Lifetime,
): Promise<KeyedCertificate> {
  const keys = await generateKeys()
  const ips = hosts.filter((host) => /^[\d.]+$/.test(host) || host.includes(':'))
  const dns = hosts.filter((host) => !ips.includes(host))
  const certificate = await issue({
    subject: `CN=${hosts[0] ?? 'zonemesh'}`,
    publicKey: keys.publicKey,
    issuer: authority,
    lifetime: life,
    dns,
    ips,
  })
  return { certificate, key: keys.privateKey }
}

/** Creates the certificate of a workload with one URI per identity. The chain is the leaf, then the issuer. */
export async function createWorkloadCertificate(
  authority: KeyedCertificate,
  uris: readonly string[],
  life: Lifetime,
): Promise<KeyedCertificate> {
  const keys = await generateKeys()
  const leaf = await issue({
    subject: 'O=Zonemesh',
    publicKey: keys.publicKey,
    issuer: authority,
    lifetime: life,
    uris,
  })
  return { certificate: leaf + authority.certificate, key: keys.privateKey }
}

/** SHA-256 of the certificate's DER in hex: the pin of a join string. */
export async function fingerprint(certificate: string): Promise<string> {
  return Buffer.from(await new x509.X509Certificate(certificate).getThumbprint('SHA-256')).toString('hex')
}

/** The fingerprint of a certificate, computed synchronously. */
export const fingerprintOf = (certificate: string): string =>
  createHash('sha256').update(new X509Certificate(certificate).raw).digest('hex')

/** Whether an authority has signed the first certificate in a PEM text. */
export const isSignedBy = (certificate: string, authority: string): boolean =>
  new X509Certificate(certificate).verify(new X509Certificate(authority).publicKey)

/** The limits in the certificate of an authority. */
export function authorityLimits(certificate: string) {
  const parsed = new x509.X509Certificate(certificate)
  const basic = parsed.getExtension(x509.BasicConstraintsExtension)
  const usages = parsed.getExtension(x509.KeyUsagesExtension)?.usages
  return {
    isAuthority: basic?.ca === true,
    // Without the extension, the usage of the key is not limited.
    mayCertify: usages === undefined || (usages & x509.KeyUsageFlags.keyCertSign) !== 0,
    pathLength: basic?.pathLength,
  }
}

export const notAfterMs = (certificate: string): number => new x509.X509Certificate(certificate).notAfter.getTime()

/** The start of the validity of a certificate, or of the first one in a bundle. */
export const startOf = (certificate: string): number => new Date(new X509Certificate(certificate).validFrom).getTime()
