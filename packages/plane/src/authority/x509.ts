import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
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

/** Certificates count from a little in the past, so that a clock that is minutes off still accepts them. */
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

/** A new P-256 key pair: PKCS #8 and SubjectPublicKeyInfo as PEM. */
export async function generateKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const pair = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  return {
    privateKey: pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', pair.privateKey)),
    publicKey: pem('PUBLIC KEY', await webcrypto.subtle.exportKey('spki', pair.publicKey)),
  }
}

const pemBytes = (text: string): Buffer => Buffer.from(text.replace(/-----[^-]+-----|\s/g, ''), 'base64')
const importPrivate = (text: string) => webcrypto.subtle.importKey('pkcs8', pemBytes(text), algorithm, false, ['sign'])
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

/** Signs one certificate. Without an issuer's certificate it signs itself. */
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
  if (issuerCertificate)
    extensions.push(await x509.AuthorityKeyIdentifierExtension.create(await issuerCertificate.publicKey.export()))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: request.subject,
    issuer: issuerCertificate?.subject ?? request.subject,
    notBefore: new Date(request.lifetime.notBeforeMs),
    notAfter: new Date(request.lifetime.notAfterMs),
    publicKey,
    signingKey: await importPrivate(issuer.key),
    signingAlgorithm: algorithm,
    extensions,
  })
  return `${certificate.toString('pem')}\n`
}

/** A new self-signed authority. */
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

/** An authority below `root` for a key that stays where it was made. */
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

/** A server certificate for names and addresses. */
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

/** The certificate of a workload: one URI per identity. The chain holds the leaf, then the issuer's certificate. */
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

export const notAfterMs = (certificate: string): number => new x509.X509Certificate(certificate).notAfter.getTime()
