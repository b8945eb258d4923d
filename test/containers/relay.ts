import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Place } from '../contract/postgres-proxy.ts'

export interface Relay extends Place, Disposable {
  /** New connections go to this server. Open ones stay where they are. */
  pointTo(target: () => Promise<Place>): void
  /** How many connections are open now. */
  open(): number
}

/**
 * A balancer in front of a server: its address stays while the server gets another one, or another server takes its
 * place. It passes bytes and ends, and never answers for a server that is silent. `host` is an address of this machine.
 */
export async function startRelay(first: () => Promise<Place>, host = '127.0.0.1'): Promise<Relay> {
  let target = first
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    return socket
  }

  async function pass(client: Socket): Promise<void> {
    keep(client)
    const place = await target()
    const server = keep(connect(place.port, place.host))
    client.pipe(server)
    server.pipe(client)
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }

  const listener = createServer((client) => void pass(client).catch(() => client.destroy())).listen(0, host)
  await once(listener, 'listening')
  const address = listener.address()
  return {
    host,
    port: address !== null && typeof address === 'object' ? address.port : 0,
    pointTo(next) {
      target = next
    },
    open: () => sockets.size / 2,
    [Symbol.dispose]() {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
