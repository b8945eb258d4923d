import { isIP } from 'node:net'
import { createServer, type Server as TlsServer } from 'node:tls'
import {
  Client,
  credentials,
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  setLogVerbosity,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { err, ok } from '../base/base.ts'
import { listenError } from '../env/listen-error.ts'
import { timeReason } from './certificates.ts'
import { type ConnectionLimits, defaultConnectionLimits, guardConnections } from './connections.ts'
import { serverLimits } from './grpc-limits.ts'
import { createPinnedPeer } from './pin.ts'
import { channelOver } from './stream-channel.ts'
import type { Channel, Dialer, Listen } from './transport.ts'

const messageBytesMax = 10 * 1024 * 1024

/**
 * How many bytes may be in flight to a caller, in addition to the limit of credit. With the initial 64 KiB of HTTP/2,
 * every 64 KiB would cost a round trip, and on a busy machine a turn of the peer's event loop.
 */
const windowBytes = 1024 * 1024

const channelOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  // No keepalive: its pings have delayed frames by half a second, and the bookmarks of a session already detect a lost
  // peer.
}

// The library would log to stderr what our own log already contains, with the address.
setLogVerbosity(logVerbosity.NONE)

const plain = (bytes: Buffer) => bytes

function serviceOf(path: string): ServiceDefinition {
  const method = {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: plain,
    requestDeserialize: plain,
    responseSerialize: plain,
    responseDeserialize: plain,
  }
  return { session: method }
}

/**
 * Listens for calls of one streaming method over TLS. A connection is admitted when its caller is accepted; see
 * `ConnectionLimits`.
 */
export const listenGrpc =
  (options: {
    readonly host: string
    readonly port: number
    readonly tls: { readonly cert: string; readonly key: string }
    readonly path: string
    readonly limits?: ConnectionLimits
  }): Listen =>
  async (onCall) => {
    const limits = options.limits ?? defaultConnectionLimits
    const server = new Server({ ...channelOptions, ...serverLimits, 'grpc-node.max_session_memory': 64 })
    const session = (call: ServerDuplexStream<Buffer, Buffer>) => {
      const header = call.metadata.get('authorization')[0]
      const token = typeof header === 'string' ? header.replace(/^Bearer /i, '') : undefined
      const accept = () => {
        guard.admit(call.getPeer())
        const cut = () => guard.cut(call.getPeer())
        return channelOver(call, (cause) => ({ refused: false, reason: cause.message }), cut)
      }
      const refuse = (reason: string) => void call.emit('error', { code: status.UNAUTHENTICATED, details: reason })
      onCall({ address: call.getPeer(), token }, accept, refuse)
    }
    const implementation: UntypedServiceImplementation = { session }
    server.addService(serviceOf(options.path), implementation)
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
    const { cert, key } = options.tls
    // Our own socket instead of the server's, so that connections are counted and timed before TLS.
    const tls = createServer({ cert, key, ALPNProtocols: ['h2'], handshakeTimeout: limits.pendingMs })
    const guard = guardConnections(tls, limits)
    tls.on('tlsClientError', (_cause, socket) => socket.destroy())
    tls.on('secureConnection', (socket) => {
      if (socket.alpnProtocol !== 'h2') return void socket.destroy()
      socket.on('error', () => socket.destroy())
      socket.setNoDelay(true)
      injector.injectConnection(socket)
    })
    const port = await bind(tls, options.host, options.port)
    return {
      port,
      async close() {
        const closed = new Promise<void>((resolve) => tls.close(() => resolve()))
        server.forceShutdown()
        injector.destroy()
        // In the next turn, so that written bytes are still sent.
        setImmediate(() => guard[Symbol.dispose]())
        await closed
      },
    }
  }

function bind(tls: TlsServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => reject(listenError(cause, { what: 'zones', host, port, option: '--sync-port' }))
    tls.once('error', failed)
    tls.listen(port, host, () => {
      tls.off('error', failed)
      const bound = tls.address()
      resolve(bound !== null && typeof bound === 'object' ? bound.port : port)
    })
  })
}

/** Calls the method at an address whose authority has this pin. */
export function dialGrpc(options: {
  readonly address: string
  readonly path: string
  readonly token: string
  /** SHA-256 of the authority's certificate in DER. */
  readonly pinSha256Hex: string
}): Dialer {
  const peer = createPinnedPeer(options.address, options.pinSha256Hex)
  return {
    async dial(signal) {
      const authority = await peer.authority(signal)
      if (!authority.ok) return err({ refused: authority.error.mismatch, reason: authority.error.reason })
      return ok(callGrpc({ ...options, authorityPem: authority.value, shown: peer.shown() }))
    },
    forget: () => peer.forget(),
  }
}

/**
 * Calls the method. The only root is the given authority. It signs only for this service, so names are not compared.
 */
export function callGrpc(options: {
  readonly address: string
  readonly path: string
  readonly token: string
  readonly authorityPem: string
  /** The certificates of the server, for the reason of a failure. */
  readonly shown?: readonly Buffer[]
}): Channel & Disposable {
  const secure = credentials.createSsl(Buffer.from(options.authorityPem), null, null, {
    checkServerIdentity: () => undefined,
  })
  const host = options.address.slice(0, options.address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  const client = new Client(options.address, secure, {
    ...channelOptions,
    // TLS does not allow an IP address as a server name.
    ...(isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'zonemesh.invalid' }),
    'grpc.use_local_subchannel_pool': 1,
    'grpc-node.flow_control_window': windowBytes,
    'grpc.enable_retries': 0,
  })
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${options.token}`)
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(options.path, plain, plain, metadata)
  const channel = channelOver(call, (cause) => {
    const code = 'code' in cause ? cause.code : undefined
    const details = 'details' in cause ? String(cause.details) : cause.message
    const ofTime = timeReason(details, options.shown ?? [])
    return {
      refused: code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED,
      reason: ofTime === undefined ? details : `cannot reach ${options.address}: ${ofTime}`,
    }
  })
  return { ...channel, [Symbol.dispose]: () => client.close() }
}
