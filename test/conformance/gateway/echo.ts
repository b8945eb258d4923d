import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/** The identity of a service. */
export interface Identity {
  readonly service: string
  readonly zone: string
  readonly version: string
}

/** A request as a service saw it. */
export interface Seen extends Identity {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly headers: Readonly<Record<string, string>>
}

/** The header by which a case identifies the services that received its request. */
export const caseHeader = 'x-conformance-case'
/** The header with which a case sets the headers of the service's response: JSON. */
export const answeringHeader = 'x-conformance-answering'

const listen = <S extends Server | TcpServer>(server: S, port: number): Promise<S> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })

/** Equal names are joined with a comma, which has the same meaning in HTTP. */
const headersOf = ({ headersDistinct }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join(',')]))

/** An HTTP service that answers with its identity and the request, and passes both to `saw`. */
export function startHttp(identity: Identity, port: number, saw: (seen: Seen) => void): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume()
    const headers = headersOf(request)
    const { method = '', url = '' } = request
    const seen = { ...identity, method, path: url, host: headers['host'] ?? '', headers }
    saw(seen)
    // The tests write this header.
    const answering = JSON.parse(headers[answeringHeader] ?? '{}') as Record<string, string>
    response.writeHead(200, { 'content-type': 'application/json', ...answering })
    response.end(JSON.stringify(seen))
  })
  return listen(server, port)
}

/** A TCP service that answers the first bytes of a client with its identity. */
export function startTcp(identity: Identity, port: number): Promise<TcpServer> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => socket.end(JSON.stringify(identity)))
  })
  return listen(server, port)
}

/** A TCP service that terminates TLS itself. */
export function startTls(identity: Identity, port: number, tls: { cert: string; key: string }): Promise<TcpServer> {
  const server = createTlsServer(tls, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () =>
      socket.end(JSON.stringify({ ...identity, servername: String(Reflect.get(socket, 'servername')) })),
    )
  })
  return listen(server, port)
}
