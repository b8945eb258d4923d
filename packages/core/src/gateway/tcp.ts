import { type Because, because, becauseOfAll } from '../kinds/because.ts'
import { serviceTag } from '../kinds/common.ts'
import type { MeshName } from '../kinds/identities.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { backendService, type RouteBackend } from '../kinds/mesh-gateway-route-spec.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { TcpChain } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { unresolvedBackend, type WeightedBackend, weightBackends } from './backends.ts'
import type { Destination } from './route-parts.ts'
import type { GatewayRoutes } from './routes.ts'

/** The destinations of the connections of one filter chain. */
export interface TcpForwarding {
  /** Undefined if there is no backend. */
  readonly chain: Pick<TcpChain, 'cluster' | 'idleMs' | 'connectAttempts'> | undefined
  readonly destinations: readonly Destination[]
  /** The routes and the policies. */
  readonly because: Because
  readonly contributions: readonly (readonly [key: string, hash: string])[]
}

/** The largest sum of weights in one chain that Envoy accepts. */
const weightMax = 2 ** 32 - 1

/**
 * Derives the forwarding of connections from the TCP routes that are bound to listeners. The backends of all routes
 * form one pool.
 */
export function createGatewayTcp(units: Units, view: View, exclusions: Exclusions, routes: GatewayRoutes) {
  /** The backends of one route. A route that throws, or that Envoy refused, has none. */
  const part = units.family('tcp route part', (key: string): readonly RouteBackend[] => {
    if (exclusions.has(key, routes.partHash(key))) {
      units.note(key, 'left out: Envoy refused the listener with it')
      return []
    }
    return (
      units.attempt(key, () => {
        const spec = view.row(meshGatewayRoute, key)?.spec
        const backends = (spec?.conf?.tcp?.rules ?? []).flatMap((rule) => rule.backends ?? [])
        for (const backend of backends) {
          if (backendService(backend) === '') throw new Error(`a backend has no tag "${serviceTag}"`)
        }
        // Throws if a weight is invalid.
        weightBackends(backends, view.tagSet({}), view.tagSet)
        return backends
      }) ?? []
    )
  })

  return {
    /** `listeners` are the tags of the listeners of the chain: one listener, or all listeners of a TCP port. */
    forwarding(mesh: MeshName, listeners: readonly TagSet[]): TcpForwarding {
      const pools = [...new Set(listeners)].map((listener) => {
        const keys = routes.attached(mesh, listener, 'tcp')
        const parts = keys.map((key) => ({ key, backends: part(key) })).filter((one) => one.backends.length > 0)
        const weighted = weightBackends(
          parts.flatMap((one) => one.backends),
          listener,
          view.tagSet,
        )
        // Envoy refuses a weight of 0.
        return {
          listener,
          keys: parts.map(({ key }) => key),
          backends: weighted.filter((one) => one.weight > 0),
        }
      })
      const backends = pools.flatMap((pool) => pool.backends)
      expectSum(backends)
      const keys = [...new Set(pools.flatMap((pool) => pool.keys))]
      const [first, ...others] = backends
      const listener = pools.find((pool) => pool.backends.length > 0)?.listener ?? view.tagSet({})
      const { because: policies, ...settings } = settingsOf(mesh, listener, backends)
      return {
        because: because(...keys, ...(first ? policies : [])),
        chain: first && {
          cluster:
            others.length === 0 ? first.cluster : backends.map(({ cluster, weight }) => ({ name: cluster, weight })),
          ...settings,
        },
        destinations: pools.flatMap((pool) => destinationsOf(pool.backends, pool.listener)),
        contributions: keys.map((key) => [key, routes.partHash(key)] as const),
      }
    },
  }

  function settingsOf(mesh: MeshName, listener: TagSet, backends: readonly WeightedBackend[]) {
    const tags = backends.map((one) => one.tags)
    const limits = routes.timeouts(routes.policyOf('Timeout', mesh, listener, tags))
    const again = routes.retries(routes.policyOf('Retry', mesh, listener, tags))
    return { idleMs: limits.tcpIdleMs, connectAttempts: again.tcpAttempts, because: becauseOfAll([limits, again]) }
  }
}
export type GatewayTcp = ReturnType<typeof createGatewayTcp>

const destinationsOf = (backends: readonly WeightedBackend[], listener: TagSet): readonly Destination[] =>
  backends
    .filter((one) => serviceOf(one.tags) !== unresolvedBackend)
    .map((one) => ({ cluster: one.cluster, tags: one.tags, listener }))

function expectSum(backends: readonly WeightedBackend[]): void {
  const sum = backends.reduce((total, one) => total + one.weight, 0)
  if (sum > weightMax) throw new Error(`weights: expected a sum of at most ${weightMax}, found ${sum}`)
}
