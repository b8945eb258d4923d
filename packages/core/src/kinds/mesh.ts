import { type Column, defineKind } from './kind.ts'
import { checkMesh } from './mesh-checks.ts'
import { type MeshSpec, meshSchema } from './mesh-spec.ts'
import { byName } from './ranges.ts'

const columns: readonly Column<MeshSpec>[] = [
  {
    title: 'MTLS',
    cell: ({ spec: { mtls } }) => {
      const enabled = mtls?.backends?.find(({ name }) => name === mtls.enabledBackend)
      return enabled ? `${enabled.name} (${enabled.type}, ${(enabled.mode ?? 'STRICT').toLowerCase()})` : 'off'
    },
  },
  { title: 'EGRESS', cell: ({ spec }) => (spec.routing?.zoneEgress ? 'by ZoneEgress' : 'direct') },
]

export const mesh = defineKind({
  name: 'Mesh',
  path: 'meshes',
  shortName: 'm',
  title: { singular: 'Mesh', plural: 'Meshes' },
  scope: 'global',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  fixedName: true,
  schema: meshSchema,
  // A held Mesh must not look like a mesh without mutual TLS.
  compiled: { owner: 'global', blame: 140, needed: true, index: byName },
  check: checkMesh,
  columns,
  unserved: (spec) => [
    ...(spec.metrics ? ['metrics: proxies expose no metrics of a mesh backend yet'] : []),
    ...(spec.tracing ? ['tracing: not served yet'] : []),
    ...(spec.logging ? ['logging: not served yet'] : []),
    ...(spec.constraints ? ['constraints: membership is not checked yet'] : []),
    ...(spec.skipCreatingInitialPolicies
      ? ['skipCreatingInitialPolicies: has no effect, as no policies are created with a mesh']
      : []),
    ...(spec.routing?.localityAwareLoadBalancing ? ['routing.localityAwareLoadBalancing: not served yet'] : []),
    ...(spec.meshServices?.mode && spec.meshServices.mode !== 'Disabled'
      ? ['meshServices.mode: MeshService resources are not served']
      : []),
  ],
})
