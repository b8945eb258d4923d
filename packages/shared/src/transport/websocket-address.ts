import { isIP } from 'node:net'
import { err, ok, type Result } from '../base/base.ts'

/** Where to call over WebSocket, and whom to trust there. */
export interface WebSocketRoute {
  readonly url: string
  /** As `host:port`, with brackets around an IPv6 address. */
  readonly hostAndPort: string
  readonly host: string
  /** `pin`: the authority of the join string. `system`: the roots of the machine. `none`: no TLS, loopback only. */
  readonly trust: 'pin' | 'system' | 'none'
}

/** The path of the door on an API port. */
export const webSocketPath = '/_sync'

export const isWebSocketAddress = (address: string): boolean => /^wss?:\/\//i.test(address)

/** This machine and nobody else. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/**
 * Reads an address such as `wss://global.example:5682`. Who is trusted is part of the address, as it says what stands at its end:
 * a global shows a certificate of its own authority, which the join string pins; a proxy that ends TLS shows one of its own, whose
 * name and roots are then checked as in a browser, and `?tls=system` says so. Plain `ws://` would carry a token for all to read: it
 * goes to loopback only, as to a tunnel. There is no way to trust everybody. A path before the query takes the place of `/_sync`.
 */
export function readWebSocketAddress(address: string): Result<WebSocketRoute, string> {
  if (!isWebSocketAddress(address) || !URL.canParse(address))
    return err(`expected an address such as wss://global.example:5682, found "${address}"`)
  const url = new URL(address)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const hostAndPort = `${url.hostname}:${url.port || (url.protocol === 'wss:' ? '443' : '80')}`
  if (url.search !== '' && url.search !== '?tls=system')
    return err(`${hostAndPort}: expected no query but ?tls=system in a WebSocket address, found "${url.search}"`)
  if (url.username !== '' || url.hash !== '')
    return err(`${hostAndPort}: expected a WebSocket address without a user and without #`)
  const path = url.pathname === '/' ? webSocketPath : url.pathname
  const route = { url: `${url.protocol}//${hostAndPort}${path}`, hostAndPort, host }
  if (url.protocol === 'wss:') return ok({ ...route, trust: url.search === '' ? 'pin' : 'system' })
  if (url.search !== '') return err(`${hostAndPort}: ?tls=system needs wss://, found ws://`)
  if (!isLoopback(host))
    return err(`${hostAndPort}: ws:// carries the token for all to read and is for loopback only; use wss://`)
  return ok({ ...route, trust: 'none' })
}
