import { z } from 'zod'

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')

/**
 * The body of POST /bootstrap of kuma-dp 2.14, and of our data plane with the field `zonemesh`. Tolerant: peers may
 * be newer.
 */
export const bootstrapRequestSchema = z.object({
  mesh: text,
  name: text,
  proxyType: text.transform((value) => value || 'dataplane'),
  dataplaneToken: text,
  dataplaneTokenPath: text,
  /** The resource to register, as JSON. */
  dataplaneResource: text,
  version: z.record(z.string(), z.unknown()).nullish(),
  caCert: text,
  dynamicMetadata: z.record(z.string(), z.string()).nullish(),
  otelEnv: z.record(z.string(), z.unknown()).nullish(),
  dnsPort: z.number().nullish(),
  readinessPort: z.number().nullish(),
  appProbeProxyDisabled: z.boolean().nullish(),
  features: z.array(z.string()).nullish(),
  resources: z.object({ maxHeapSizeBytes: z.number().nullish() }).nullish(),
  workdir: text,
  metricsResources: z.object({ certPath: text, keyPath: text }).nullish(),
  systemCaPath: text,
  dataplaneConfig: z.record(z.string(), z.unknown()).nullish(),
  ipv6Enabled: z.boolean().nullish(),
  spireResources: z.object({ socketPath: text }).nullish(),
  /** Only our own data plane sends this. */
  zonemesh: z
    .object({
      /** The claimed /20 of 127.128.0.0/9. */
      part: z.number().int().min(0).max(2047).optional(),
      canBindPort80: z.boolean(),
      /** The port of Envoy's admin interface on 127.0.0.1. Without it, the interface is a socket in the work folder. */
      adminPort: z.number().int().optional(),
      /** The proxy ports of all replicas of the zone that the proxy knows. */
      addresses: z
        .array(z.object({ host: z.string(), port: z.number().int() }))
        .max(16)
        .optional(),
    })
    .nullish(),
})
export type BootstrapRequest = z.infer<typeof bootstrapRequestSchema>

/** Facts about the proxy from the check of its request. */
export interface BootstrapSubject {
  /** The first kuma.io/service of a Dataplane; undefined if it has none. */
  readonly service?: string
  readonly isBuiltinGateway: boolean
  readonly address?: string
  readonly adminPort?: number
}

/** A response other than 200. kuma-dp tries again after 404 and 5xx, and stops after every other 4xx. */
export interface BootstrapRefusal {
  readonly status: 400 | 404 | 422 | 503
  readonly text: string
}
