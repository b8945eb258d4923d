import type { Server, Socket } from 'node:net'
import { type Clock, systemClock } from '../env/clock.ts'

/** The limits of a port, mainly for connections that are not admitted yet. */
export interface ConnectionLimits {
  /** How many connections may be open. Further connections are closed at once. */
  readonly connectionsMax: number
  /** How many connections may be pending, in total and from one address. At the limit, `makeRoom` decides. */
  readonly pendingMax: number
  readonly pendingPerAddressMax: number
  /** How long a connection may take until it is admitted, with TLS, first request and token. Then it is closed. */
  readonly pendingMs: number
  /** How many bytes all pending connections together may have sent. Above it the one that has sent most is closed. */
  readonly pendingBytesMax: number
}

/**
 * Enough for a thousand zones or proxies that reconnect at once, five hundred of them from one address behind a proxy
 * or a NAT. Each may have a second connection that only tests whether the port answers. Small enough that strangers
 * cannot fill the memory. A link of 1 KiB/s finishes TLS within 20 s.
 */
export const defaultConnectionLimits: ConnectionLimits = {
  connectionsMax: 20_000,
  pendingMax: 2_048,
  pendingPerAddressMax: 1_024,
  pendingMs: 20_000,
  pendingBytesMax: 128 * 1024 * 1024,
}

/** Disposing it closes every connection. */
export interface ConnectionGuard extends Disposable {
  /** The connection from this peer is authenticated. */
  admit(peer: string): void
  /** Resets the connection from this peer. A reset arrives even if earlier bytes stay in buffers. */
  cut(peer: string): void
  /** All open connections, and those that are not admitted yet. */
  counts(): { readonly open: number; readonly pending: number }
}

interface Pending {
  readonly address: string
  readonly socket: Socket
  readonly sinceMs: number
}

const lookEveryMs = 250
/** A pending connection is not closed for another one within this time, so that a burst is served in order. */
const graceMs = 1_000

/** Names a connection by its remote address and port, as gRPC does. */
export const peerOf = (socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${socket.remoteAddress}:${socket.remotePort}`

/**
 * Watches the connections of a server, from before TLS until they are admitted. Real sockets run on the system clock.
 */
export function guardConnections(
  server: Pick<Server, 'on' | 'off'>,
  limits: ConnectionLimits = defaultConnectionLimits,
  clock: Clock = systemClock,
): ConnectionGuard {
  const open = new Map<string, Socket>()
  /** Oldest first. */
  const pending = new Map<string, Pending>()
  const pendingByAddress = new Map<string, number>()
  let look: Disposable | undefined

  function settle(peer: string): void {
    const one = pending.get(peer)
    if (!one || !pending.delete(peer)) return
    const left = (pendingByAddress.get(one.address) ?? 1) - 1
    if (left > 0) pendingByAddress.set(one.address, left)
    else pendingByAddress.delete(one.address)
  }

  function drop(peer: string): void {
    const one = pending.get(peer)
    settle(peer)
    one?.socket.destroy()
  }

  /** Closes the connection that has waited longest, because an honest caller is fast. False if none has waited long. */
  function makeRoom(address: string | undefined): boolean {
    for (const [peer, one] of pending) {
      if (clock.monotonicMs() - one.sinceMs < graceMs) return false
      if (address !== undefined && one.address !== address) continue
      drop(peer)
      return true
    }
    return false
  }

  function connected(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const same = pendingByAddress.get(address) ?? 0
    const isFull = (same >= limits.pendingPerAddressMax && !makeRoom(address)) || pendingIsFull()
    if (address === '' || open.size >= limits.connectionsMax || isFull) return void socket.destroy()
    const peer = peerOf(socket)
    open.set(peer, socket)
    pending.set(peer, { address, socket, sinceMs: clock.monotonicMs() })
    pendingByAddress.set(address, (pendingByAddress.get(address) ?? 0) + 1)
    socket.on('close', () => {
      if (open.get(peer) === socket) open.delete(peer)
      if (pending.get(peer)?.socket === socket) settle(peer)
    })
    socket.on('error', () => socket.destroy())
    if (!look) lookAgain()
  }

  const pendingIsFull = (): boolean => pending.size >= limits.pendingMax && !makeRoom(undefined)

  function lookAgain(): void {
    const dueMs = clock.monotonicMs() + lookEveryMs
    look = clock.after(lookEveryMs, () => {
      look = undefined
      const nowMs = clock.monotonicMs()
      // If this timer fires late, the process was busy, and bytes of the callers may be unread.
      if (nowMs - dueMs < graceMs)
        for (const [peer, one] of pending) if (nowMs - one.sinceMs >= limits.pendingMs) drop(peer)
      boundBytes()
      if (pending.size > 0) lookAgain()
    })
  }

  function boundBytes(): void {
    let total = 0
    for (const { socket } of pending.values()) total += socket.bytesRead
    if (total <= limits.pendingBytesMax) return
    const largest = [...pending].sort(([, a], [, b]) => b.socket.bytesRead - a.socket.bytesRead)
    for (const [peer, { socket }] of largest) {
      if (total <= limits.pendingBytesMax) return
      total -= socket.bytesRead
      drop(peer)
    }
  }

  server.on('connection', connected)
  return {
    admit: settle,
    cut: (peer) => void open.get(peer)?.resetAndDestroy(),
    counts: () => ({ open: open.size, pending: pending.size }),
    [Symbol.dispose]() {
      look?.[Symbol.dispose]()
      server.off('connection', connected)
      for (const socket of open.values()) socket.destroy()
    },
  }
}
