import type { Server, Socket } from 'node:net'
import { type Clock, systemClock } from '../env/clock.ts'

/** What a port takes of those who have not yet shown who they are. */
export interface ConnectionLimits {
  /** Open connections of any kind. The next one is closed at once. */
  readonly connectionsMax: number
  /** Connections that are not admitted yet, in all and from one address; see `makeRoom` for the answer to being full. */
  readonly pendingMax: number
  readonly pendingPerAddressMax: number
  /** How long a connection may take until it is admitted: TLS, its first request, its token. Then it is closed. */
  readonly pendingMs: number
  /** Bytes that connections may have sent, together, before they are admitted. Above it the one that sent most is closed. */
  readonly pendingBytesMax: number
}

/**
 * For a thousand zones or proxies that come back at once, five hundred of them from one address behind a proxy or a NAT, as each may
 * have a second connection on which it only knocked; and small enough that strangers cannot fill the memory. 20 s, so that a link of
 * 1 KiB/s gets through TLS.
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
  /** The connection from this peer has shown who it is. */
  admit(peer: string): void
  /** Resets the connection from this peer: it hears of it even if what was sent before lies in buffers for ever. */
  cut(peer: string): void
  /** Open connections, and those of them that are not admitted. */
  counts(): { readonly open: number; readonly pending: number }
}

interface Pending {
  readonly address: string
  readonly socket: Socket
  readonly sinceMs: number
}

const lookEveryMs = 250
/** Nobody is closed for another one within this time: a herd that comes at once is served in its order. */
const graceMs = 1_000

/** Names a connection by its other end, as gRPC does too. */
export const peerOf = (socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${socket.remoteAddress}:${socket.remotePort}`

/** Watches the connections of a server, from before TLS until they are admitted. Sockets have the system's time and no other. */
export function guardConnections(
  server: Pick<Server, 'on' | 'off'>,
  limits: ConnectionLimits = defaultConnectionLimits,
  clock: Clock = systemClock,
): ConnectionGuard {
  const open = new Map<string, Socket>()
  /** The oldest first. */
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

  /** Full: the one that has waited longest goes, as who has something to say has said it by then. False: nobody has waited long. */
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
      // A look that comes late says that we were busy: what they have sent may still lie unread.
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
