import { createServer } from 'node:https'
import { dialGrpc, listenGrpc } from '../../src/transport/grpc.ts'
import type { Dialer, Listening, OnCall } from '../../src/transport/transport.ts'
import { createWebSocketDoor, dialWebSocket } from '../../src/transport/websocket.ts'
import type { TestAuthority } from '../sync/certificates.ts'

/** A transport for the contract suite: a door on loopback, and a dialer for it. */
export interface Transport {
  readonly name: string
  open(authority: TestAuthority, onCall: OnCall): Promise<Listening>
  dialer(port: number, token: string, pinSha256Hex: string): Dialer
}

const path = '/zonemesh.test/Session'
const host = '127.0.0.1'

export const grpcTransport: Transport = {
  name: 'gRPC',
  open: (authority, onCall) => listenGrpc({ host, port: 0, tls: authority, path })(onCall),
  dialer: (port, token, pinSha256Hex) => dialGrpc({ address: `${host}:${port}`, path, token, pinSha256Hex }),
}

export const webSocketTransport: Transport = {
  name: 'WebSocket',
  async open(authority, onCall) {
    const door = createWebSocketDoor()
    const server = createServer({ cert: authority.cert, key: authority.key })
    server.on('upgrade', (request, socket, head) => door.upgrade(request, socket, head))
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    const listening = await door.listen(onCall)
    const bound = server.address()
    return {
      port: bound !== null && typeof bound === 'object' ? bound.port : 0,
      async close() {
        await listening.close()
        server.closeAllConnections()
        await new Promise<void>((resolve) => void server.close(() => resolve()))
      },
    }
  },
  dialer: (port, token, pinSha256Hex) => dialWebSocket({ address: `wss://${host}:${port}`, token, pinSha256Hex }),
}
