import { RuntimeSchema } from '../../gen/envoy/service/runtime/v3/rtds_pb.js'
import type { IdentityModel, ProxyModel } from '../compile/model.ts'
import type { Problem } from '../view/units.ts'
import { emitAssignment } from './assignment.ts'
import { emitCluster } from './cluster.ts'
import { encode, once, resourceOf } from './encode.ts'
import { emitListener } from './listener.ts'
import { emitRouteTable } from './route.ts'
import { type ProxyTable, type SecretNeed, type TypeUrl, typeUrls, type XdsResource } from './table.ts'
import { authorityName, identityName } from './tls.ts'

/** What a proxy is to have, as Envoy's messages. */
export function emit(model: ProxyModel, mark: number, problems: readonly Problem[]): ProxyTable {
  const resources = new Map<TypeUrl, ReadonlyMap<string, XdsResource>>([
    [typeUrls.cluster, byName(model.clusters.map(emitCluster))],
    [typeUrls.assignment, byName(model.assignments.map(emitAssignment))],
    [typeUrls.listener, byName(model.listeners.map(emitListener))],
    [typeUrls.route, byName(model.routeTables.map(emitRouteTable))],
    ...(model.runtimeLayer ? [[typeUrls.runtime, byName([gatewayRuntime()])] as const] : []),
  ])
  return { mark, resources, secretNeeds: model.identity ? needsOf(model.identity) : [], problems }
}

const byName = (resources: readonly XdsResource[]): ReadonlyMap<string, XdsResource> =>
  new Map(resources.map((one) => [one.name, one]))

/** The layer that gateways ask for; limits of listeners would be keys in it. */
const gatewayRuntime = (): XdsResource =>
  resourceOf('gateway.listeners', encode(RuntimeSchema, { name: 'gateway.listeners', layer: {} }))

const needsOf = once(({ mesh, services, tags }: IdentityModel): readonly SecretNeed[] => [
  { type: 'identity', name: identityName(mesh), mesh, services, tags },
  { type: 'authority', name: authorityName(mesh), mesh },
])
