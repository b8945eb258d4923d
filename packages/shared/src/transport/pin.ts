import { createHash } from 'node:crypto'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type DetailedPeerCertificate } from 'node:tls'
import { err, messageOf, ok, type Result } from '../base/base.ts'

export interface PinFailure {
  /** The peer has answered with other certificates, so a retry does not help. */
  readonly mismatch: boolean
  readonly reason: string
}

/** How long the peer may be silent while we connect. A link of 1 KiB/s needs seconds for its certificates. */
const connectTimeoutMs = 10_000

/** What a dialer caches about its peer between attempts. */
export interface PinnedPeer {
  /** The authority to trust in this attempt; an error if the address does not answer. */
  authority(signal: AbortSignal): Promise<Result<string, PinFailure>>
  /** The last attempt failed. */
  forget(): void
}

/**
 * Reads the authority once, because the pin allows only one. After a failed attempt it only opens a TCP connection
 * until the address answers again. When a global restarts, a thousand zones do this, and reading the authority again
 * would cost each of them a second TLS handshake. If the next attempt fails although the address answers, the authority
 * is read again, so that the error shows the certificates that were found.
 */
export function createPinnedPeer(address: string, pinSha256Hex: string): PinnedPeer {
  let pem: string | undefined
  let doubted = false
  /** The address has answered after a failed attempt. */
  let answered = false
  return {
    async authority(signal) {
      answered = false
      if (pem !== undefined && doubted) {
        const found = await atAddress(address, (host, port) =>
          overTcp(host, port, signal, (_socket, settle) => settle(undefined)),
        )
        if (!found.ok) return found
        answered = true
      }
      doubted = false
      if (pem !== undefined) return ok(pem)
      const read = await pinnedAuthority(address, pinSha256Hex, signal)
      if (read.ok) pem = read.value
      return read
    },
    forget() {
      if (answered) pem = undefined
      else doubted = true
    },
  }
}

/**
 * Reads the certificates of a server and returns the one with the pinned SHA-256 as PEM: the only root to trust from
 * then on. It sends only the TLS handshake, so that a wrong server learns nothing.
 */
export async function pinnedAuthority(
  address: string,
  pinSha256Hex: string,
  signal: AbortSignal,
): Promise<Result<string, PinFailure>> {
  const pin = pinSha256Hex.toLowerCase().replaceAll(':', '')
  const chain = await atAddress(address, (host, port) => readChain(host, port, signal))
  if (!chain.ok) return chain
  const prints = chain.value.map((raw) => createHash('sha256').update(raw).digest('hex'))
  const found = chain.value[prints.indexOf(pin)]
  if (found) return ok(pemOf(found))
  const reason = `expected a certificate authority with SHA-256 ${pin} at ${address}, found ${prints.join(', ') || 'none'}`
  return err({ mismatch: true, reason })
}

async function atAddress<T>(
  address: string,
  task: (host: string, port: number) => Promise<T>,
): Promise<Result<T, PinFailure>> {
  const cut = address.lastIndexOf(':')
  const host = address.slice(0, cut).replace(/^\[|\]$/g, '')
  const port = Number(address.slice(cut + 1))
  if (cut < 1 || !Number.isInteger(port))
    return err({ mismatch: true, reason: `expected host:port, found "${address}"` })
  try {
    return ok(await task(host, port))
  } catch (cause) {
    return err({ mismatch: false, reason: `cannot reach ${address}: ${messageOf(cause)}` })
  }
}

/** Starts TLS only after the TCP connection is open, because starting TLS is expensive and a zone retries often. */
function readChain(host: string, port: number, signal: AbortSignal): Promise<Buffer[]> {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  // Doors of both protocols have the same certificates.
  const ALPNProtocols = ['h2', 'http/1.1']
  return overTcp(host, port, signal, (plain, settle, fail) => {
    const socket = connectTls({ socket: plain, ...servername, ALPNProtocols, rejectUnauthorized: false })
    socket.on('secureConnect', () => settle(chainOf(socket.getPeerCertificate(true))))
    socket.on('error', fail)
  })
}

/** Opens a TCP connection, runs `use`, and closes the connection. */
function overTcp<T>(
  host: string,
  port: number,
  signal: AbortSignal,
  use: (socket: Socket, settle: (value: T) => void, fail: (cause: Error) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const stop = () => socket.destroy(new Error('stopped'))
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', stop)
      socket.destroy()
      settle()
    }
    const fail = (cause: Error) => finish(() => reject(cause))
    socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)))
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the connection was closed')))
    socket.on('connect', () => use(socket, (value) => finish(() => resolve(value)), fail))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** The certificates from the server's own upwards. The last one is its own issuer, which ends the loop. */
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
