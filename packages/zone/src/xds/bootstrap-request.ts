import { z } from 'zod'

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')

/** The body of POST /bootstrap as kuma-dp 2.14 sends it, and ours with the field `zonemesh`. Tolerant: peers may be newer. */
export const bootstrapRequestSchema = z.object({
  mesh: text,
  name: text,
  proxyType: text.transform((value) => value || 'dataplane'),
  dataplaneToken: text,
  dataplaneTokenPath: text,
  /** JSON text of the resource to register. */
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
      /** The /20 of 127.128.0.0/9 that it has claimed. */
      part: z.number().int().min(0).max(2047).optional(),
      canBindPort80: z.boolean(),
      /** Envoy's admin on 127.0.0.1 instead of a socket in the work folder. */
      adminPort: z.number().int().optional(),
    })
    .nullish(),
})
export type BootstrapRequest = z.infer<typeof bootstrapRequestSchema>

/** What the zone found out about the proxy while it checked the request. */
export interface BootstrapSubject {
  /** The first kuma.io/service of a Dataplane; undefined if it has none. */
  readonly service?: string
  readonly isBuiltinGateway: boolean
  readonly address?: string
  readonly adminPort?: number
}

/** An answer other than 200. kuma-dp retries on 404 and 5xx and stops on all other 4xx. */
export interface BootstrapRefusal {
  readonly status: 400 | 404 | 422 | 503
  readonly text: string
}
