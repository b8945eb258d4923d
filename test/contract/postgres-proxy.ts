import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * What happens to the next COMMIT. `lost`: it never arrives. `unanswered`: it arrives, but its response is lost.
 * `late`: the client has disconnected, and the commit arrives only after another client has read the head.
 */
export type Cut = 'lost' | 'unanswered' | 'late'

/** Where a server listens. */
export interface Place {
  readonly host: string
  readonly port: number
}

/**
 * Relays between a store and its server, and cuts a connection at a point where the client cannot know the outcome of a
 * commit.
 */
export async function startCuttingProxy({ host, port }: Place) {
  let next: Cut | undefined
  let release: (() => void) | undefined
  const sockets = new Set<Socket>()

  function pass(client: Socket): void {
    const server = connect(port, host)
    let deaf = false
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (bytes) => {
      const cut = bytes.includes('COMMIT\0') ? next : undefined
      if (cut) next = undefined
      if (cut === 'lost') return void server.destroy()
      if (cut === 'late') {
        deaf = true
        release = () => void server.write(bytes)
        return void client.destroy()
      }
      if (cut === 'unanswered') server.once('data', () => server.destroy())
      if (cut === 'unanswered') deaf = true
      server.write(bytes)
      if (release && bytes.includes('FOR UPDATE')) {
        const held = release
        release = undefined
        held()
      }
    })
    server.on('data', (bytes) => void (deaf || client.write(bytes)))
    client.on('close', () => void (deaf || server.destroy()))
    server.on('close', () => client.destroy())
  }

  const listener = createServer(pass).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  return {
    host: '127.0.0.1',
    port: address !== null && typeof address === 'object' ? address.port : 0,
    cutNext(cut: Cut): void {
      next = cut
    },
    [Symbol.dispose](): void {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
