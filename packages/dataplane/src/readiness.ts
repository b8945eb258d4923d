import { createServer } from 'node:http'

export type Readiness = 'READY' | 'NOT_READY' | 'TERMINATING'

/** Serves GET /ready on 127.0.0.1: 200 if ready, 503 otherwise. */
export async function serveReadiness(port: number, state: () => Promise<Readiness>): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.url !== '/ready') return void response.writeHead(404).end()
    void state().then((text) => response.writeHead(text === 'READY' ? 200 : 503).end(text))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
