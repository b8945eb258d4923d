import { z } from 'zod'
import { dataSource, duration, durationMs, lifetimeMs, tagMap } from './common.ts'
import { message } from './kind.ts'

/** A lifetime in Kuma's form (`1d`, `10y`) or in Go's form (`1h30m`), which rows of older stores use. */
const lifetime = z
  .union([z.string(), z.number()])
  .transform((value) => (typeof value === 'number' ? `${value}s` : value))

/** The milliseconds of a lifetime in a stored Mesh; undefined if it is invalid. */
export const storedLifetimeMs = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : (lifetimeMs(text) ?? durationMs(text))

const providedConf = message({ cert: dataSource.optional(), key: dataSource.optional() })

const certificateAuthority = message({
  name: z.string(),
  type: z.string(),
  mode: z.enum(['STRICT', 'PERMISSIVE']).optional(),
  dpCert: message({
    rotation: message({ expiration: lifetime.optional() }).optional(),
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

/** Backends of logging, tracing and metrics differ only in their `conf`. */
const observabilityBackend = message({
  name: z.string().optional(),
  type: z.string().optional(),
  format: z.string().optional(),
  sampling: z.number().optional(),
  conf: z.record(z.string(), z.json()).optional(),
})

const withDefault = message({
  defaultBackend: z.string().optional(),
  backends: z.array(observabilityBackend).optional(),
})

const tagSets = z.array(message({ tags: tagMap.optional() })).optional()

export const meshSchema = message({
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
  metrics: message({
    enabledBackend: z.string().optional(),
    backends: z.array(observabilityBackend).optional(),
  }).optional(),
  tracing: withDefault.optional(),
  logging: withDefault.optional(),
  constraints: message({
    dataplaneProxy: message({ requirements: tagSets, restrictions: tagSets }).optional(),
  }).optional(),
  skipCreatingInitialPolicies: z.array(z.string()).optional(),
})
export type MeshSpec = z.infer<typeof meshSchema>
export type MeshBackend = z.infer<typeof certificateAuthority>
/** The source of an authority's certificate or key. */
export type AuthoritySource = z.infer<typeof dataSource>

/** The certificate authority in force, if the mesh has mutual TLS. */
export function enabledBackend(mesh: MeshSpec) {
  const name = mesh.mtls?.enabledBackend
  return name ? mesh.mtls?.backends?.find((backend) => backend.name === name) : undefined
}

/** The sources of a provided authority's certificate and key. */
export const providedSources = ({ conf }: MeshBackend): z.infer<typeof providedConf> =>
  providedConf.safeParse(conf ?? {}).data ?? {}

export const backendConfField = (index: number): string => `mtls.backends[${index}].conf`
