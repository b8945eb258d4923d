import type { ClusterModel, RouteModel, TcpChain } from '../model/model.ts'
import type { HttpRetries, Retries } from '../policies/retry/retries.ts'
import type { Timeouts } from '../policies/timeout/timeouts.ts'
import { emitCluster } from './cluster.ts'
import { emitListener } from './listener.ts'
import { proveRoute } from './route.ts'

/**
 * Throws if the values of a policy cannot be encoded. Such a policy is left out, and the parts it would apply to stay.
 */
export function proveTimeouts(timeouts: Timeouts): void {
  const { connectMs, tcpIdleMs, idleMs, requestMs, streamIdleMs, maxStreamMs } = timeouts
  emitCluster({ ...cluster, connectMs, http: { version: 2, idleMs, maxStreamMs, edgeWindows: false } })
  proveRoute(routeWith({ requestMs, idleMs: streamIdleMs }))
  proveChain({ idleMs: tcpIdleMs })
}

export function proveRetries({ http, grpc, tcpAttempts }: Retries): void {
  for (const retries of [http, grpc]) if (retries) proveRoute(routeWith({ retries }))
  proveChain({ connectAttempts: tcpAttempts })
}

const cluster: ClusterModel = { name: 'proof', target: 'eds', connectMs: 0, breakers: 'none', because: [] }

interface PolicyValues {
  readonly requestMs?: number | undefined
  readonly idleMs?: number | undefined
  readonly retries?: HttpRetries
}

const routeWith = ({ requestMs, idleMs, retries }: PolicyValues): RouteModel => ({
  path: { type: 'prefix', path: '/' },
  headers: [],
  queries: [],
  because: [],
  action: {
    type: 'forward',
    clusters: [{ name: cluster.name, weight: 1 }],
    weighted: false,
    requestMs,
    idleMs,
    ...(retries ? { retries } : {}),
  },
})

function proveChain(values: Pick<TcpChain, 'idleMs' | 'connectAttempts'>): void {
  const content = { type: 'tcp' as const, statPrefix: cluster.name, cluster: cluster.name, ...values }
  emitListener({
    name: 'proof',
    address: '127.0.0.1',
    port: 1,
    direction: 'outbound',
    reusePort: false,
    inspectTls: false,
    because: [],
    chains: [{ content, because: [] }],
  })
}
