import { isIP } from 'node:net'
import { err, ok, type Result } from '../base/base.ts'

/** Where to connect over WebSocket, and which authority to trust. */
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

/** Loopback addresses reach only this machine. */
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/**
 * Reads an address such as `wss://global.example:5682`. The address also selects what is trusted. A global has a
 * certificate of its own authority, which the join string pins. A proxy that terminates TLS has its own certificate:
 * with `?tls=system`, its name and its roots are checked as in a browser. Plain `ws://` would expose the token, so it
 * is allowed only for loopback, for example for a tunnel. Verification cannot be turned off. A path before the query
 * replaces `/_sync`.
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
    return err(`${hostAndPort}: ws:// sends the token unencrypted and is allowed for loopback only; use wss://`)
  return ok({ ...route, trust: 'none' })
}
