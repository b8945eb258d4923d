import { createHash } from 'node:crypto'
import { err, messageOf, ok, type Result } from '../base/base.ts'
import { describeAll } from './certificates.ts'
import { overTcp, readChain } from './chain.ts'

export interface PinFailure {
  /** The peer has answered with other certificates, so a retry does not help. */
  readonly mismatch: boolean
  readonly reason: string
}

/** What a dialer caches about its peer between attempts. */
export interface PinnedPeer {
  /** The authority to trust in this attempt; an error if the address does not answer. */
  authority(signal: AbortSignal): Promise<Result<string, PinFailure>>
  /** The last attempt failed. */
  forget(): void
  /** The certificates from which the authority was read last. */
  shown(): readonly Buffer[]
}

/**
 * Reads the authority once, because the pin allows only one. After a failed attempt it only opens a TCP connection
 * until the address answers again. When a global restarts, a thousand zones do this, and reading the authority again
 * would cost each of them a second TLS handshake. If the next attempt fails although the address answers, the authority
 * is read again, so that the error shows the certificates that were found.
 */
export function createPinnedPeer(address: string, pinSha256Hex: string): PinnedPeer {
  let pem: string | undefined
  let shown: readonly Buffer[] = []
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
      const read = await pinnedChain(address, pinSha256Hex, signal)
      if (!read.ok) return read
      shown = read.value.shown
      pem = read.value.authorityPem
      return ok(pem)
    },
    forget() {
      if (answered) pem = undefined
      else doubted = true
    },
    shown: () => shown,
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
  const read = await pinnedChain(address, pinSha256Hex, signal)
  return read.ok ? ok(read.value.authorityPem) : read
}

/** The pinned authority, with the certificates that the server shows. */
async function pinnedChain(
  address: string,
  pinSha256Hex: string,
  signal: AbortSignal,
): Promise<Result<{ readonly authorityPem: string; readonly shown: readonly Buffer[] }, PinFailure>> {
  const pin = pinSha256Hex.toLowerCase().replaceAll(':', '')
  const chain = await atAddress(address, (host, port) => readChain(host, port, signal))
  if (!chain.ok) return chain
  const prints = chain.value.map((raw) => createHash('sha256').update(raw).digest('hex'))
  const found = chain.value[prints.indexOf(pin)]
  if (found) return ok({ authorityPem: pemOf(found), shown: chain.value })
  const reason = `expected a certificate authority with SHA-256 ${pin} at ${address}, found ${describeAll(chain.value)}; the address is wrong, another server intercepts the connection, or the join string is of another plane`
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

const pemOf = (raw: Buffer) =>
  `-----BEGIN CERTIFICATE-----\n${(raw.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`
