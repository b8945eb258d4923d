import { addressesOf, type Join } from '@zonemesh/shared/auth/join.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import { dialInTurn } from '@zonemesh/shared/transport/rotation.ts'
import type { Dialer } from '@zonemesh/shared/transport/transport.ts'
import { dialWebSocket } from '@zonemesh/shared/transport/websocket.ts'
import { isWebSocketAddress, readWebSocketAddress } from '@zonemesh/shared/transport/websocket-address.ts'

/** Creates the dialer for the addresses in a join string, which are tried in turn. Throws if one is invalid. */
export function createDialer(join: Join): Dialer {
  return dialInTurn(addressesOf(join).map((address) => createDialerFor(address, join)))
}

/** The dialer for one address: gRPC, or the same frames over WebSocket. */
function createDialerFor(address: string, { token, pin: pinSha256Hex }: Join): Dialer {
  if (!isWebSocketAddress(address)) {
    const hostAndPort = address.replace(/^https?:\/\/|\/$/g, '')
    return dialGrpc({ address: hostAndPort, path: syncPath, token, pinSha256Hex })
  }
  const route = readWebSocketAddress(address)
  if (!route.ok) throw new Error(`the address in the join string cannot be used: ${route.error}`)
  return dialWebSocket({ address, token, pinSha256Hex })
}

/** Dials with the newest join string, which is looked up at each attempt. */
export function createNewestDialer(newest: () => Join): Dialer {
  let cached: { readonly join: Join; readonly dialer: Dialer } | undefined
  const dialer = (): Dialer => {
    const join = newest()
    if (cached?.join !== join) cached = { join, dialer: createDialer(join) }
    return cached.dialer
  }
  return { dial: async (signal) => dialer().dial(signal), forget: () => cached?.dialer.forget() }
}
