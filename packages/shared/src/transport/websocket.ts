import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { getCACertificates } from 'node:tls'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'
import { err, ok, type Result } from '../base/base.ts'
import { certificateReason } from './certificates.ts'
import { defaultConnectionLimits } from './connections.ts'
import { pinnedAuthority } from './pin.ts'
import type { Channel, Dialer, DialFailure, Listen } from './transport.ts'
import { readWebSocketAddress, type WebSocketRoute, webSocketPath } from './websocket-address.ts'
import { channelOverWebSocket, webSocketOptions } from './websocket-channel.ts'

/**
 * How many callers may wait for the check of their token: as many as connections may wait. All zones behind one HTTP
 * proxy have the same address. Further callers get 503.
 */
const { pendingMax, pendingPerAddressMax } = defaultConnectionLimits
/** How long a dial may take until its upgrade is answered. A link of 1 KiB/s needs most of this time. */
const upgradeMs = 20_000
/** How long a close handshake may take before the connection is cut. */
const closeMs = 1_000
/** How much of an answer without an upgrade is read, for the error message. */
const refusalBytesMax = 2_048

/** A door on the ports of an HTTP server, which the caller opens. */
export interface WebSocketDoor {
  readonly listen: Listen
  /**
   * True for a request to this door. The server passes its upgrade to `upgrade` and handles all other requests itself.
   */
  isMine(request: IncomingMessage): boolean
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

/**
 * Carries the same frames as gRPC, for networks that only pass HTTP. The door exists before its listener: callers
 * before `listen` or after its close get 503. Its port is 0, because the server has the ports.
 */
export function createWebSocketDoor(): WebSocketDoor {
  const server = new WebSocketServer({ ...webSocketOptions, noServer: true, clientTracking: true })
  const pendingByAddress = new Map<string, number>()
  let pending = 0
  let onCall: Parameters<Listen>[0] | undefined
  // The library has answered such a request with 400.
  server.on('wsClientError', (_cause, socket) => socket.destroy())

  function accept(request: IncomingMessage, socket: Duplex, head: Buffer): Channel {
    let channel: Channel | undefined
    server.handleUpgrade(request, socket, head, (opened) => {
      channel = channelOverWebSocket(opened)
    })
    return channel ?? lostChannel
  }

  /** Counts a caller until it is answered. Undefined if there are too many. */
  function enter(address: string): (() => void) | undefined {
    const same = pendingByAddress.get(address) ?? 0
    if (pending >= pendingMax || same >= pendingPerAddressMax) return undefined
    pending += 1
    pendingByAddress.set(address, same + 1)
    return () => {
      pending -= 1
      const left = (pendingByAddress.get(address) ?? 1) - 1
      if (left > 0) pendingByAddress.set(address, left)
      else pendingByAddress.delete(address)
    }
  }

  return {
    isMine: (request) => isUpgrade(request) && pathOf(request) === webSocketPath,
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy())
      const { remoteAddress = 'unknown', remotePort } = request.socket
      if (!isUpgrade(request) || pathOf(request) !== webSocketPath)
        return answer(socket, '404 Not Found', `expected an upgrade to websocket of ${webSocketPath}`)
      if (!onCall)
        return answer(socket, '503 Service Unavailable', 'this control plane accepts no sessions at the moment')
      const leave = enter(remoteAddress)
      if (!leave) return answer(socket, '503 Service Unavailable', 'too many callers wait for an answer')
      const token = request.headers.authorization?.replace(/^Bearer /i, '')
      let answered = false
      const once = () => {
        if (answered) throw new Error('a caller was answered twice')
        answered = true
        leave()
      }
      onCall(
        { address: `${remoteAddress}:${remotePort}`, token },
        () => {
          once()
          return accept(request, socket, head)
        },
        (reason) => {
          once()
          answer(socket, '401 Unauthorized', reason)
        },
      )
    },
    async listen(next) {
      onCall = next
      return {
        port: 0,
        async close() {
          onCall = undefined
          const open = [...server.clients]
          const closed = open.map((client) => new Promise<void>((resolve) => client.once('close', () => resolve())))
          for (const client of open) client.close(1001)
          const timer = setTimeout(() => {
            for (const client of open) client.terminate()
          }, closeMs)
          await Promise.all(closed)
          clearTimeout(timer)
        },
      }
    },
  }
}

const isUpgrade = (request: IncomingMessage): boolean => request.headers.upgrade?.toLowerCase() === 'websocket'

const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?')[0] ?? ''

/** The channel of a caller that has disconnected, or sent no valid upgrade, before it was accepted. */
const lostChannel: Channel = {
  send: () => true,
  drained: async () => {},
  onMessage() {},
  ended: Promise.resolve({ refused: false, reason: 'the caller disconnected before it was accepted' }),
  end() {},
  cut() {},
}

function answer(socket: Duplex, status: string, reason: string): void {
  const body = `${reason}\n`
  const headers = [
    `HTTP/1.1 ${status}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${headers.join('\r\n')}\r\n\r\n${body}`)
}

/** Calls a door over WebSocket. With `wss://` the pin selects the authority, which is read again after `forget`. */
export function dialWebSocket(options: {
  /** For example `wss://global.example:5682`; see `readWebSocketAddress`. */
  readonly address: string
  readonly token: string
  /** SHA-256 of the authority's certificate in DER. Ignored unless the address selects the pin. */
  readonly pinSha256Hex: string
}): Dialer {
  let authorityPem: string | undefined
  return {
    async dial(signal) {
      const read = readWebSocketAddress(options.address)
      if (!read.ok) return err({ refused: true, reason: read.error })
      const route = read.value
      if (route.trust === 'pin' && authorityPem === undefined) {
        const authority = await pinnedAuthority(route.hostAndPort, options.pinSha256Hex, signal)
        if (!authority.ok) return err({ refused: authority.error.mismatch, reason: authority.error.reason })
        authorityPem = authority.value
      }
      return call(route, authorityPem, options.token, signal)
    },
    forget() {
      authorityPem = undefined
    },
  }
}

function trustOf(route: WebSocketRoute, authorityPem: string | undefined): ClientOptions {
  switch (route.trust) {
    case 'none':
      return {}
    case 'system':
      // The roots of Node, those of NODE_EXTRA_CA_CERTS, and those of the machine.
      return { ca: [...getCACertificates('default'), ...getCACertificates('system')] }
    case 'pin':
      // The only root is the authority. It signs only for this service, so names are not compared; `false` means no
      // error.
      return { ca: [authorityPem ?? ''], checkServerIdentity: () => false }
  }
}

/** Why a connection failed. If the certificate is the reason, the text names it. */
function reasonOf(
  cause: Error,
  route: WebSocketRoute,
  authorityPem: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  if (route.trust === 'none') return Promise.resolve(cause.message)
  const { hostname, port } = new URL(route.url)
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }
  const remedy =
    route.trust === 'system'
      ? 'with ?tls=system, add the authority to the roots of this machine (or to NODE_EXTRA_CA_CERTS)'
      : 'the address is wrong, or another server intercepts the connection'
  return certificateReason(cause, { ...address, authorityPem, remedy }, signal)
}

function call(
  route: WebSocketRoute,
  authorityPem: string | undefined,
  token: string,
  signal: AbortSignal,
): Promise<Result<Channel & Disposable, DialFailure>> {
  return new Promise((resolve) => {
    const socket = new WebSocket(route.url, [], {
      ...webSocketOptions,
      ...trustOf(route, authorityPem),
      followRedirects: false,
      handshakeTimeout: upgradeMs,
      headers: { authorization: `Bearer ${token}` },
    })
    const settle = (result: Result<Channel & Disposable, DialFailure>) => {
      signal.removeEventListener('abort', stop)
      resolve(result)
    }
    const stop = () => {
      socket.terminate()
      settle(err({ refused: false, reason: 'stopped' }))
    }
    socket.on('error', (cause) => {
      void reasonOf(cause, route, authorityPem, signal).then((text) =>
        settle(err({ refused: false, reason: `cannot reach ${route.hostAndPort}: ${text}` })),
      )
    })
    socket.on('unexpected-response', (request, response) => {
      void failureOf(route, response).then((failure) => {
        request.destroy()
        settle(err(failure))
      })
    })
    socket.on('open', () => {
      // In this turn of the event loop, so that no message arrives before its listener.
      const channel = channelOverWebSocket(socket)
      settle(ok({ ...channel, [Symbol.dispose]: () => leave(socket) }))
    })
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** Closes a connection, and leaves the last messages, such as a goodbye, a moment to arrive. */
function leave(socket: WebSocket): void {
  socket.close(1000)
  const timer = setTimeout(() => socket.terminate(), closeMs)
  socket.once('close', () => clearTimeout(timer))
}

/**
 * Our door answers a refused token with 401 and a sentence. Other answers are from a proxy in between or another
 * server.
 */
async function failureOf(route: WebSocketRoute, response: IncomingMessage): Promise<DialFailure> {
  const refused = response.statusCode === 401
  let text = ''
  try {
    // A response without an encoding yields buffers.
    for await (const chunk of response as AsyncIterable<Buffer>) {
      text += chunk.toString('utf8')
      if (text.length > refusalBytesMax) break
    }
  } catch {
    // The text so far is shown.
  }
  const line = text.slice(0, refusalBytesMax).trim()
  const isOurs = response.headers['content-type']?.startsWith('text/plain') === true && line !== ''
  if (refused && isOurs) return { refused, reason: line }
  const detail = isOurs ? `: ${line}` : ''
  return { refused, reason: `expected 101 from ${route.url}, found ${response.statusCode}${detail}` }
}
