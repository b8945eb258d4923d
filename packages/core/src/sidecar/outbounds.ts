import { statName } from '../edge/addresses.ts'
import { gatewayClusterName } from '../edge/cluster-name.ts'
import type { Endpoints } from '../edge/endpoints.ts'
import type { Meshes } from '../edge/meshes.ts'
import { sniOf } from '../edge/sni.ts'
import { because, becauseOfAll } from '../kinds/because.ts'
import { meshTag } from '../kinds/common.ts'
import { placeOf } from '../kinds/cross-mesh.ts'
import type { MeshName } from '../kinds/identities.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import type { Connections, Profile } from '../match/connections.ts'
import type { AssignmentModel, ChainModel, ClusterModel } from '../model/model.ts'
import { mergeRetries } from '../policies/retry/retries.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { defaultTimeouts, mergeTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

const clusterNameOf = ({ tags }: TagSet): string => {
  const { [meshTag]: other } = tags
  return other === undefined ? gatewayClusterName(tags, {}) : `${gatewayClusterName(tags, {})}_${other}`
}

/** The outbound configuration of sidecars for one destination. Sidecars with the same policies share it. */
export function createOutbounds(
  units: Units,
  view: View,
  meshes: Meshes,
  endpoints: Endpoints,
  connections: Connections,
) {
  const timeouts = units.family('outbound timeouts', (profile: Profile, destination: TagSet) => {
    const policy = connections.chosen(profile, destination)
    const merged = mergeTimeouts(policy && view.row(timeout, policy.key)?.spec, defaultTimeouts.outbound)
    return { ...merged, because: because(policy?.key) }
  })

  const retries = units.family('outbound retries', (profile: Profile, destination: TagSet) => {
    const policy = connections.chosen(profile, destination)
    return { ...mergeRetries(policy && view.row(retry, policy.key)?.spec), because: because(policy?.key) }
  })

  /** A cross-mesh listener always speaks HTTP. */
  const protocolOf = (mesh: MeshName, destination: TagSet): string =>
    placeOf(mesh, destination.tags).isCrossMesh ? 'http' : endpoints.protocol(mesh, serviceOf(destination))

  return {
    cluster: units.family('outbound cluster', (mesh: MeshName, destination: TagSet, profile: Profile): ClusterModel => {
      const { tags } = destination
      const { home, homeTags } = placeOf(mesh, tags)
      const limits = timeouts(profile, destination)
      const { connectMs, idleMs, maxStreamMs } = limits
      const facts = meshes.mesh(mesh)
      return {
        name: clusterNameOf(destination),
        destination: tags,
        because: becauseOfAll([limits, facts]),
        target: 'eds',
        connectMs,
        breakers: 'limits',
        // Between sidecars HTTP always travels as HTTP/2, even if the application uses HTTP/1.1.
        ...(isHttp(protocolOf(mesh, destination))
          ? { http: { version: 2, idleMs, maxStreamMs, edgeWindows: false } }
          : {}),
        ...(facts.mtls === 'none'
          ? {}
          : {
              mtls: {
                mesh: home,
                service: serviceOf(destination),
                sni: sniOf(home, homeTags),
                ...(home === mesh ? {} : { shown: mesh }),
              },
            }),
      }
    }),

    assignment: (mesh: MeshName, destination: TagSet): AssignmentModel =>
      endpoints.assignment(clusterNameOf(destination), placeOf(mesh, destination.tags).home, destination),

    chain: units.family(
      'outbound chain',
      (mesh: MeshName, destination: TagSet, timeoutProfile: Profile, retryProfile: Profile): ChainModel => {
        const service = serviceOf(destination)
        const cluster = clusterNameOf(destination)
        const limits = timeouts(timeoutProfile, destination)
        const again = retries(retryProfile, destination)
        const protocol = protocolOf(mesh, destination)
        const decided = { because: becauseOfAll([limits, again]) }
        if (!isHttp(protocol)) {
          return {
            ...decided,
            content: {
              type: 'tcp',
              statPrefix: statName(cluster),
              cluster,
              idleMs: limits.tcpIdleMs,
              connectAttempts: again.tcpAttempts,
            },
          }
        }
        const tried = protocol === 'grpc' ? again.grpc : again.http
        const route = {
          path: { type: 'prefix' as const, path: '/' },
          headers: [],
          queries: [],
          ...decided,
          action: {
            type: 'forward' as const,
            clusters: [{ name: cluster, weight: 1 }],
            weighted: false,
            requestMs: limits.requestMs,
            idleMs: limits.streamIdleMs,
            ...(tried ? { retries: tried } : {}),
          },
        }
        return {
          ...decided,
          content: {
            type: 'http',
            statPrefix: statName(service),
            role: 'outbound',
            streamIdleMs: undefined,
            routes: {
              name: `outbound:${service}`,
              hosts: [{ name: service, domains: ['*'], routes: [route], ...decided }],
              ...decided,
              removeTagsHeader: false,
              ignorePort: false,
            },
          },
        }
      },
    ),
  }
}
export type Outbounds = ReturnType<typeof createOutbounds>

const isHttp = (protocol: string): boolean => protocol === 'http' || protocol === 'http2' || protocol === 'grpc'
