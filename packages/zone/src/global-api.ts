import { addressesOf, type Join } from '@zonemesh/shared/auth/join.ts'
import { isWebSocketAddress } from '@zonemesh/shared/transport/websocket-address.ts'

/**
 * Where users reach the API of the global, for messages that refer them to it. A zone that joins over WebSocket connects
 * to the port of the API. Another one knows only the hosts of the global and its port for zones.
 */
export function globalApiOf(join: Join): string {
  const [first = '', ...others] = addressesOf(join).map(placeOf)
  const places = new Set([first, ...others])
  return [...places].join(', or ')
}

function placeOf(address: string): string {
  const { protocol, host, hostname } = new URL(address)
  if (isWebSocketAddress(address)) return `${protocol === 'wss:' ? 'https' : 'http'}://${host}`
  return `host ${hostname.replace(/^\[|\]$/g, '')}, port 5681 by default`
}
