import { messageOf } from '@zonemesh/shared/base/base.ts'
import { RuntimeSchema } from '../../gen/envoy/service/runtime/v3/rtds_pb.js'
import type { AssignmentModel, CertificateModel, IdentityModel, ProxyModel } from '../model/model.ts'
import type { Problem } from '../view/problem.ts'
import { emitAssignment, hasProbes } from './assignment.ts'
import { emitCluster, emitProbingCluster } from './cluster.ts'
import { encode, once, resourceOf } from './encode.ts'
import { emitListener } from './listener.ts'
import { emitRouteTable } from './route.ts'
import { type ProxyTable, type SecretNeed, type TypeUrl, typeUrls, type XdsResource } from './table.ts'
import { allAuthoritiesName, authorityName, identityName } from './tls.ts'

/**
 * Encodes the model of a proxy as Envoy's messages. Lists that did not change keep their maps, and proxies share them.
 * A part that cannot be encoded is left out and reported.
 */
export function emit(model: ProxyModel, mark: number, problems: readonly Problem[]): ProxyTable {
  const parts: readonly (readonly [TypeUrl, Emitted])[] = [
    [typeUrls.cluster, clustersOf(model)],
    [typeUrls.assignment, assignments(model.assignments)],
    [typeUrls.listener, listeners(model.listeners)],
    [typeUrls.route, routeTables(model.routeTables)],
    ...(model.runtimeLayer ? [[typeUrls.runtime, runtimeLayers(model.connectionLimits ?? noLimits)] as const] : []),
  ]
  const failures = parts.flatMap(([, part]) => part.failures)
  return {
    mark,
    resources: new Map(parts.map(([type, part]) => [type, part.resources])),
    secretNeeds: [
      ...(model.identity ? needsOf(model.identity) : []),
      ...(model.otherMeshes ?? []).map((mesh) => otherAuthority(mesh, model.identity?.mesh ?? '')),
      ...(model.anyMesh ? [allAuthorities] : []),
      ...(model.certificates ?? []).map(certificateNeed),
    ],
    problems: failures.length > 0 ? [...problems, ...failures] : problems,
  }
}

interface Emitted {
  readonly resources: ReadonlyMap<string, XdsResource>
  readonly failures: readonly Problem[]
}

const mapped = <Model>(nameOf: (model: Model) => string, emitOne: (model: Model) => XdsResource) =>
  once((models: readonly Model[]): Emitted => {
    const failures: Problem[] = []
    const resources: XdsResource[] = []
    for (const model of models) {
      try {
        resources.push(emitOne(model))
      } catch (thrown) {
        failures.push({ source: `resource ${nameOf(model)}`, reason: messageOf(thrown) })
      }
    }
    return { resources: byName(resources), failures }
  })

const byName = (resources: readonly XdsResource[]): ReadonlyMap<string, XdsResource> =>
  new Map(resources.map((one) => [one.name, one]))

const clusters = mapped((model) => model.name, emitCluster)

/** The clusters of a proxy. A cluster probes its endpoints if the proxy of one of them is lost. */
function clustersOf(model: ProxyModel): Emitted {
  const all = clusters(model.clusters)
  const probing = probingNames(model.assignments)
  if (probing.size === 0) return all
  const changed = model.clusters.filter(({ name }) => probing.has(name) && all.resources.has(name))
  const resources = new Map([...all.resources, ...changed.map((one) => [one.name, emitProbingCluster(one)] as const)])
  return { ...all, resources }
}

const probingNames = once(
  (models: readonly AssignmentModel[]): ReadonlySet<string> =>
    new Set(models.filter(({ endpoints }) => hasProbes(endpoints)).map(({ cluster }) => cluster)),
)
const assignments = mapped((model) => model.cluster, emitAssignment)
const listeners = mapped((model) => model.name, emitListener)
const routeTables = mapped((model) => model.name, emitRouteTable)

const noLimits: NonNullable<ProxyModel['connectionLimits']> = []

/** The runtime layer of gateways: the connection limit of each listener. */
const runtimeLayers = once((limits: NonNullable<ProxyModel['connectionLimits']>): Emitted => {
  const layer = Object.fromEntries(
    limits.map(({ listener, limit }) => [`envoy.resource_limits.listener.${listener}.connection_limit`, limit]),
  )
  const name = 'gateway.listeners'
  return { resources: byName([resourceOf(name, encode(RuntimeSchema, { name, layer }))]), failures: [] }
})

const needsOf = once(({ mesh, services, tags }: IdentityModel): readonly SecretNeed[] => [
  { type: 'identity', name: identityName(mesh), mesh, services, tags },
  { type: 'authority', name: authorityName(mesh), mesh },
])

const otherAuthority = (mesh: string, standIn: string): SecretNeed => ({
  type: 'authority',
  name: authorityName(mesh),
  mesh,
  standIn,
})
const allAuthorities: SecretNeed = { type: 'authorities', name: allAuthoritiesName }

const certificateNeed = once(
  ({ because: _because, ...one }: CertificateModel): SecretNeed => ({ type: 'certificate', ...one }),
)
