import { ClusterLoadAssignmentSchema } from '../../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import type { Tags } from '../kinds/common.ts'
import { sortedTags } from '../kinds/tags.ts'
import type { AssignmentModel, EndpointModel } from '../model/model.ts'
import { encode, once, resourceOf, socketAddress } from './encode.ts'
import type { XdsResource } from './table.ts'

/** The endpoints of a cluster, grouped by zone. */
export const emitAssignment = once(({ cluster, endpoints }: AssignmentModel): XdsResource => {
  const byZone = Map.groupBy(endpoints, (one) => one.zone)
  const isProbed = hasProbes(endpoints)
  const bytes = encode(ClusterLoadAssignmentSchema, {
    clusterName: cluster,
    endpoints: [...byZone].map(([zone, members]) => ({
      ...(zone === '' ? {} : { locality: { zone } }),
      lbEndpoints: members.map((one) => lbEndpoint(one, isProbed && !one.probed)),
    })),
  })
  return resourceOf(cluster, bytes)
})

/** Whether the cluster of these endpoints probes some of them. */
export const hasProbes = (endpoints: readonly EndpointModel[]): boolean => endpoints.some((one) => one.probed)

const lbEndpoint = (one: EndpointModel, isExempt: boolean) => ({
  hostIdentifier: {
    case: 'endpoint' as const,
    value: {
      address: socketAddress(one),
      ...(isExempt ? { healthCheckConfig: { disableActiveHealthCheck: true } } : {}),
    },
  },
  loadBalancingWeight: one.weight,
  ...(Object.keys(one.tags).length > 0
    ? { metadata: tagsMetadata(['envoy.lb', 'envoy.transport_socket_match'], one.tags) }
    : {}),
})

/** The tags under each of these names. The order is fixed, so that equal tags give equal bytes. */
export const tagsMetadata = (names: readonly string[], tags: Tags) => ({
  filterMetadata: Object.fromEntries(names.map((name) => [name, Object.fromEntries(sortedTags(tags))])),
})
