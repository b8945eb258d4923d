import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type DetailedPeerCertificate } from 'node:tls'

/** How long the peer may be silent while we connect. A link of 1 KiB/s needs seconds for its certificates. */
const connectTimeoutMs = 10_000

/**
 * Reads the certificates that a server shows, unverified. Starts TLS only after the TCP connection is open, because starting TLS is expensive and a zone
 * retries often.
 */
export function readChain(host: string, port: number, signal: AbortSignal): Promise<Buffer[]> {
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
export function overTcp<T>(
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
