import { isIP } from 'node:net'
import { connect, type PeerCertificate } from 'node:tls'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { describeAll } from '@zonemesh/shared/transport/certificates.ts'
import { endpointOf } from './address.ts'
import type { Trust } from './contract.ts'

const waitMs = 10_000

/**
 * The CA, in PEM, that must have signed the zone's certificate; undefined for the system's roots. For a pin, the CA is
 * taken from the certificate chain of the server. Later connections with it are verified in full.
 */
export async function authorityOf(trust: Trust, address: URL, signal: AbortSignal): Promise<string | undefined> {
  if (trust.type === 'system') return undefined
  if (trust.type === 'authority') return trust.pem
  const chain = await shownChain(address, signal)
  const found = chain.find((certificate) => hexOf(certificate.fingerprint256) === trust.sha256.toLowerCase())
  if (!found)
    throw new PinError(
      `expected a certificate of ${address.host} that is signed by the authority with SHA-256 ${trust.sha256}, which the join string names, found ${describeAll(chain.map(({ raw }) => raw))}; the address is wrong, another server intercepts the connection, or the join string is of another zone (--ca-cert-file FILE trusts another authority)`,
    )
  const base64 = found.raw.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${base64.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** An address of the zone, and the CA that its certificate must have. */
export interface Found {
  readonly address: URL
  readonly authority: string | undefined
}

/**
 * The first address that shows the pinned CA; without a pin, the first address. Throws a `PinError` only if every
 * address has another CA: another machine may answer at one of them.
 */
export async function findZone(trust: Trust, addresses: readonly URL[], signal: AbortSignal): Promise<Found> {
  const failures: unknown[] = []
  for (const address of addresses) {
    try {
      return { address, authority: await authorityOf(trust, address, signal) }
    } catch (cause) {
      failures.push(cause)
    }
  }
  if (failures.length === 1) throw failures[0]
  const message = failures.map(messageOf).join('; ')
  const cause = failures[0]
  throw failures.every((one) => one instanceof PinError)
    ? new PinError(message, { cause })
    : new Error(message, { cause })
}

/** The server has another CA than the pinned one. A retry does not help. */
export class PinError extends Error {}

const hexOf = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase()

/** Reads the certificate chain of a server over an unverified connection, on which nothing is sent. */
function shownChain(address: URL, signal: AbortSignal): Promise<PeerCertificate[]> {
  return new Promise((resolve, reject) => {
    const { host, port } = endpointOf(address)
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(host) ? {} : { servername: host }),
    })
    const stop = () => socket.destroy(new Error('stopped'))
    signal.addEventListener('abort', stop, { once: true })
    socket.setTimeout(waitMs, () => socket.destroy(new Error('timeout')))
    socket.on('error', reject).on('close', () => signal.removeEventListener('abort', stop))
    socket.on('secureConnect', () => {
      const chain: PeerCertificate[] = []
      for (
        let next = socket.getPeerCertificate(true);
        next?.raw && !chain.includes(next);
        next = next.issuerCertificate
      )
        chain.push(next)
      socket.destroy()
      resolve(chain)
    })
  })
}
