import { createServer } from 'node:http'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'

export type Readiness = 'READY' | 'NOT_READY' | 'TERMINATING'

/** Serves GET /ready on 127.0.0.1: 200 if ready, 503 otherwise. */
export async function serveReadiness(port: number, state: () => Promise<Readiness>): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    if (request.url !== '/ready') return void response.writeHead(404).end()
    void state().then((text) => response.writeHead(text === 'READY' ? 200 : 503).end(text))
  })
  await new Promise<void>((resolve, reject) => {
    const place = { what: 'GET /ready', host: '127.0.0.1', port, option: '--readiness-port' }
    server.once('error', (cause) => reject(listenError(cause, place))).listen(port, place.host, resolve)
  })
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
