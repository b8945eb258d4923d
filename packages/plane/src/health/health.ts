import { createServer } from 'node:http'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'

/** The metrics of a plane, as a scrape gets them. */
export interface Scraped {
  readonly contentType: string
  text(): Promise<string>
}

export interface HealthServer {
  readonly port: number
  close(): Promise<void>
}

/** Serves `/healthy`, `/ready` and `/metrics` (Prometheus text). Throws one sentence if the port cannot be opened. */
export async function startHealth(
  deps: { readonly isReady: () => boolean; readonly metrics: Scraped; readonly log: Log },
  config: { readonly host: string; readonly port: number },
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/healthy') return void response.writeHead(200).end()
    if (path === '/ready') return void response.writeHead(deps.isReady() ? 200 : 503).end()
    if (path !== '/metrics') return void response.writeHead(404).end('404 page not found\n')
    deps.metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': deps.metrics.contentType }).end(text),
      (thrown: unknown) => {
        deps.log.error({ err: thrown }, 'cannot write the metrics')
        response.writeHead(500).end()
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(cause, { ...config, what: 'health', option: '--health-port' })))
    server.listen(config.port, config.host, resolve)
  })
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
