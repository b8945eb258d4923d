import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { messageOf } from '../base/base.ts'
import { readChain } from './chain.ts'

/** What a caller expected of the certificate of a server. */
export interface Expectation {
  readonly host: string
  readonly port: number
  /** The authorities in PEM that the caller trusts; undefined for those of the machine. */
  readonly authorityPem: string | undefined
  /** What to do, in a clause: `give its authority with --ca-cert-file`. */
  readonly remedy: string
}

/** The codes of OpenSSL and Node for a certificate that is not accepted. */
const certificateFault =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH)/

/**
 * Why a server's certificate was not accepted: what was expected, what the server shows, and what to do. The text of the
 * error itself if the certificate is not the reason.
 */
export async function certificateReason(cause: unknown, expected: Expectation, signal: AbortSignal): Promise<string> {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (!certificateFault.test(code) && timeReason(messageOf(cause), []) === undefined) return messageOf(cause) || code
  const { host, port, authorityPem, remedy } = expected
  const shown = await readChain(host, port, signal).catch(() => [])
  const ofTime = timeReason(messageOf(cause), shown)
  if (ofTime !== undefined) return ofTime
  const by = authorityPem === undefined ? 'an authority that this machine trusts' : describeAll(pemBlocks(authorityPem))
  const name = isIP(host) === 0 ? `the name ${host}` : `the address ${host}`
  return `${messageOf(cause)}: expected a certificate for ${name} that is signed by ${by}, found ${describeAll(shown)}; ${remedy}`
}

/** Texts of OpenSSL, also inside a longer text of a library, and how we report them. */
const timeFaults = [
  ['certificate has expired', 'the certificate has expired'],
  ['certificate is not yet valid', 'the certificate is not valid yet'],
] as const

/**
 * Why a certificate was refused, if the reason is its time: what was expected, what the server shows, and what to do.
 * Undefined if the text of the error names another reason.
 */
export function timeReason(text: string, shown: readonly Buffer[]): string | undefined {
  const [, what] = timeFaults.find(([found]) => text.includes(found)) ?? []
  return (
    what &&
    `${what}: expected certificates that are valid now, found ${describeAll(shown)}; restart the control plane that shows it, which renews its own certificate, or correct the clock of this machine`
  )
}

/** Certificates in the order in which a server shows them; `none` without any. */
export const describeAll = (chain: readonly (Buffer | string)[]): string =>
  chain.map((one) => `{ ${describe(one)} }`).join(', ') || 'none'

function describe(certificate: Buffer | string): string {
  try {
    const { subject, issuer, fingerprint256, validFromDate, validToDate } = new X509Certificate(certificate)
    const hash = fingerprint256.replaceAll(':', '').toLowerCase()
    const day = (date: Date) => date.toISOString().slice(0, 16).replace('T', ' ')
    return `subject ${oneLine(subject)}, issuer ${oneLine(issuer)}, SHA-256 ${hash}, valid from ${day(validFromDate)} to ${day(validToDate)} UTC`
  } catch {
    return 'not a certificate'
  }
}

const oneLine = (name: string | undefined): string => name?.replaceAll('\n', ', ') || '(empty)'

const pemBlocks = (pem: string): readonly string[] =>
  pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
