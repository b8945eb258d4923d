import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { err, messageOf, ok, type Result } from '../base/base.ts'

export interface PinFailure {
  /** The peer answered with other certificates: trying again does not help. */
  readonly mismatch: boolean
  readonly reason: string
}

/** How long the other end may be silent while we connect: a link of 1 KiB/s needs seconds for its certificates. */
const connectTimeoutMs = 10_000

/**
 * Reads the certificates of a server and gives the one with the pinned SHA-256, as PEM: the only root to trust from then on. No
 * byte of ours but the TLS handshake is sent here, so that it does no harm if somebody else answers.
 */
export async function pinnedAuthority(
  address: string,
  pinSha256Hex: string,
  signal: AbortSignal,
): Promise<Result<string, PinFailure>> {
  const cut = address.lastIndexOf(':')
  const host = address.slice(0, cut).replace(/^\[|\]$/g, '')
  const port = Number(address.slice(cut + 1))
  if (cut < 1 || !Number.isInteger(port))
    return err({ mismatch: true, reason: `expected host:port, found "${address}"` })
  const pin = pinSha256Hex.toLowerCase().replaceAll(':', '')
  try {
    const chain = await readChain(host, port, signal)
    const prints = chain.map((raw) => createHash('sha256').update(raw).digest('hex'))
    const found = chain[prints.indexOf(pin)]
    if (found) return ok(pemOf(found))
    const reason = `expected a certificate authority with SHA-256 ${pin} at ${address}, found ${prints.join(', ') || 'none'}`
    return err({ mismatch: true, reason })
  } catch (cause) {
    return err({ mismatch: false, reason: `cannot reach ${address}: ${messageOf(cause)}` })
  }
}

function readChain(host: string, port: number, signal: AbortSignal): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const servername = isIP(host) === 0 ? { servername: host } : {}
    // Whichever protocol the door speaks, it answers with the same certificates.
    const ALPNProtocols = ['h2', 'http/1.1']
    const socket = connect({ host, port, ...servername, ALPNProtocols, rejectUnauthorized: false })
    const stop = () => socket.destroy(new Error('stopped'))
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', stop)
      socket.destroy()
      settle()
    }
    socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)))
    socket.on('secureConnect', () => {
      const chain = chainOf(socket.getPeerCertificate(true))
      finish(() => resolve(chain))
    })
    socket.on('error', (cause) => finish(() => reject(cause)))
    socket.on('close', () => finish(() => reject(new Error('the connection was closed'))))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** From the server's own certificate upwards. The last one names itself as its issuer. */
function chainOf(leaf: DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = []
  let next: DetailedPeerCertificate | undefined = leaf
  while (next?.raw && !chain.some((seen) => next?.raw.equals(seen))) {
    chain.push(next.raw)
    next = next.issuerCertificate
  }
  return chain
}

const pemOf = (raw: Buffer) =>
  `-----BEGIN CERTIFICATE-----\n${(raw.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`
