import { z } from 'zod'
import { dataSource, duration } from './common.ts'
import { defineKind, message, type Violation } from './kind.ts'
import { byName } from './ranges.ts'

const providedConf = message({ cert: dataSource.optional(), key: dataSource.optional() })

const certificateAuthority = message({
  name: z.string(),
  type: z.string(),
  mode: z.enum(['STRICT', 'PERMISSIVE']).optional(),
  dpCert: message({
    rotation: message({ expiration: duration.optional() }).optional(),
    requestTimeout: duration.optional(),
  }).optional(),
  rootChain: message({ requestTimeout: duration.optional() }).optional(),
  conf: z
    .union([
      message({
        caCert: message({
          rsaBits: z.number().int().optional(),
          RSAbits: z.number().int().optional(),
          expiration: z.string().optional(),
        }).optional(),
      }),
      providedConf,
      z.record(z.string(), z.json()),
    ])
    .optional(),
})

const observability = z.record(z.string(), z.json()).optional()

const meshSchema = message({
  mtls: message({
    enabledBackend: z.string().optional(),
    skipValidation: z.boolean().optional(),
    backends: z.array(certificateAuthority).optional(),
  }).optional(),
  networking: message({ outbound: message({ passthrough: z.boolean().optional() }).optional() }).optional(),
  routing: message({
    localityAwareLoadBalancing: z.boolean().optional(),
    zoneEgress: z.boolean().optional(),
    defaultForbidMeshExternalServiceAccess: z.boolean().optional(),
  }).optional(),
  meshServices: message({
    mode: z.enum(['Disabled', 'Everywhere', 'ReachableBackends', 'Exclusive']).optional(),
  }).optional(),
  metrics: observability,
  tracing: observability,
  logging: observability,
  constraints: z.record(z.string(), z.json()).optional(),
  skipCreatingInitialPolicies: z.array(z.string()).optional(),
})
export type MeshSpec = z.infer<typeof meshSchema>
export type MeshBackend = z.infer<typeof certificateAuthority>
/** Where the certificate or the key of an authority comes from. */
export type AuthoritySource = z.infer<typeof dataSource>

/** The certificate authority in force, if the mesh has mutual TLS. */
export function enabledBackend(mesh: MeshSpec) {
  const name = mesh.mtls?.enabledBackend
  return name ? mesh.mtls?.backends?.find((backend) => backend.name === name) : undefined
}

/** Where a provided authority's certificate and key come from. */
export const providedSources = ({ conf }: MeshBackend): z.infer<typeof providedConf> =>
  providedConf.safeParse(conf ?? {}).data ?? {}

/** Kuma calls the member `conf` in documents and `config` in what it says of it. */
export const backendConfField = (index: number): string => `mtls.backends[${index}].config`

function checkSource(field: string, source: AuthoritySource | undefined): Violation[] {
  if (!source) return [{ field, reason: 'has to be defined' }]
  const members = Object.entries(source).filter(([, value]) => value !== undefined)
  const [first] = members
  if (!first || members.length > 1)
    return [{ field, reason: 'data source has to be chosen. Available sources: secret, inline, inlineString' }]
  const [member, value] = first
  if (member === 'file') return [{ field: `${field}.file`, reason: 'files are not read; use a secret, or inline data' }]
  return value === '' ? [{ field: `${field}.${member}`, reason: 'cannot be empty' }] : []
}

/** What there is to say of a provided authority without looking into secrets. */
function checkProvided(backend: MeshBackend, index: number): Violation[] {
  const { cert, key } = providedSources(backend)
  const field = backendConfField(index)
  return [...checkSource(`${field}.cert`, cert), ...checkSource(`${field}.key`, key)]
}

function check(mesh: MeshSpec, { name }: { readonly name: string }): Violation[] {
  const violations: Violation[] = []
  if (name.length > 63) violations.push({ field: 'name', reason: 'cannot be longer than 63 characters' })
  const backends = mesh.mtls?.backends ?? []
  const enabled = mesh.mtls?.enabledBackend
  if (enabled && !backends.some((backend) => backend.name === enabled)) {
    violations.push({
      field: 'mtls.enabledBackend',
      reason: 'has to be set to one of the backends in the mesh',
      choices: backends.map((b) => b.name),
    })
  }
  backends.forEach((backend, index) => {
    if (backends.findIndex((other) => other.name === backend.name) < index) {
      violations.push({
        field: `mtls.backends[${index}].name`,
        reason: `"${backend.name}" name is already used for another backend`,
      })
    }
    if (backend.type !== 'builtin' && backend.type !== 'provided') {
      violations.push({
        field: `mtls.backends[${index}].type`,
        reason: 'unknown backend type',
        choices: ['builtin', 'provided'],
      })
    }
    if (backend.type === 'provided' && !mesh.mtls?.skipValidation) violations.push(...checkProvided(backend, index))
  })
  return violations
}

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
  // A Mesh that is held back must not be taken for one without mutual TLS.
  compiled: { owner: 'global', blame: 140, needed: true, index: byName },
  check,
  unserved: (spec) => [
    ...(spec.metrics ? ['metrics: proxies expose no metrics of a mesh backend yet'] : []),
    ...(spec.tracing ? ['tracing: not served yet'] : []),
    ...(spec.logging ? ['logging: not served yet'] : []),
    ...(spec.constraints ? ['constraints: membership is not checked yet'] : []),
    ...(spec.routing?.localityAwareLoadBalancing ? ['routing.localityAwareLoadBalancing: not served yet'] : []),
    ...(spec.meshServices?.mode && spec.meshServices.mode !== 'Disabled'
      ? ['meshServices.mode: MeshService resources are not served']
      : []),
  ],
})
