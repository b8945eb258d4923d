import type { ApiPlane } from './api/plane.ts'
import type { ApiRoute } from './api/route.ts'
import { startApi, type Upgrades } from './api/server.ts'
import type { ServerTls } from './authority/server-tls.ts'
import { startHealth } from './health/health.ts'
import type { Closers } from './lifecycle.ts'
import { observeRequests } from './metrics/api.ts'
import type { Metrics } from './metrics/metrics.ts'
import { observeProcess } from './metrics/process.ts'

interface Config {
  readonly host: string
  readonly apiPort: number
  readonly apiTlsPort: number
  readonly healthPort: number
}

/** The ports in use, also if the setting is 0. */
export interface PlanePorts {
  readonly apiPort: number
  readonly apiTlsPort: number | undefined
  readonly healthPort: number
}

/** A running control plane. */
export interface RunningPlane extends PlanePorts {
  /** The routes of its API. */
  readonly routes: readonly ApiRoute[]
  close(): Promise<void>
}

/** Opens the ports of every control plane: the REST API, the REST API over TLS, and health. */
export async function startServers(
  plane: ApiPlane,
  config: Config,
  tls: ServerTls,
  metrics: Metrics,
  closers: Closers,
  upgrades?: Upgrades,
): Promise<{ readonly ports: PlanePorts; readonly routes: readonly ApiRoute[] }> {
  const api = await startApi(plane, {
    host: config.host,
    port: config.apiPort,
    tls: { port: config.apiTlsPort, certificate: tls.certificate, key: tls.key },
    ...(upgrades ? { upgrades } : {}),
    observe: observeRequests(metrics),
  })
  closers.add('the API', () => api.close())
  const observed = observeProcess(metrics, plane.clock)
  closers.add('the metrics of the process', () => observed[Symbol.dispose]())
  const health = await startHealth(
    { isReady: () => true, metrics, log: plane.log },
    { host: config.host, port: config.healthPort },
  )
  closers.add('health', () => health.close())
  return {
    ports: { apiPort: api.port, apiTlsPort: api.tlsPort, healthPort: health.port },
    routes: api.routes,
  }
}
