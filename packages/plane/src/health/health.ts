import { createServer } from 'node:http'
import { listenError } from '@zonemesh/shared/env/listen-error.ts'

/** The metrics of a plane by name, read for each scrape. */
export type Meter = () => Readonly<Record<string, number>>

export interface HealthServer {
  readonly port: number
  close(): Promise<void>
}

/** Serves `/healthy`, `/ready` and `/metrics` (Prometheus text). Throws one sentence if the port cannot be opened. */
export async function startHealth(
  deps: { readonly isReady: () => boolean; readonly meter: Meter },
  config: { readonly host: string; readonly port: number },
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/healthy') return void response.writeHead(200).end()
    if (path === '/ready') return void response.writeHead(deps.isReady() ? 200 : 503).end()
    if (path !== '/metrics') return void response.writeHead(404).end('404 page not found\n')
    const { rss, heapUsed } = process.memoryUsage()
    const cpu = process.cpuUsage()
    const figures = {
      ...deps.meter(),
      process_resident_memory_bytes: rss,
      nodejs_heap_used_bytes: heapUsed,
      process_cpu_seconds_total: (cpu.user + cpu.system) / 1e6,
    }
    const lines = Object.entries(figures).map(([name, value]) => `${name} ${value}\n`)
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(lines.join(''))
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
