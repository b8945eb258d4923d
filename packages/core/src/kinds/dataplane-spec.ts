import { z } from 'zod'
import { duration, port, protoEnum, serviceTag, tagMap } from './common.ts'
import { message } from './kind.ts'

const admin = message({ port: z.number().int().optional() })

const inbound = message({
  port: port.optional(),
  servicePort: z.number().int().optional(),
  serviceAddress: z.string().optional(),
  address: z.string().optional(),
  name: z.string().optional(),
  protocol: z.string().optional(),
  tags: tagMap.optional(),
  health: message({ ready: z.boolean().optional() }).optional(),
  state: z.enum(['Ready', 'NotReady', 'Ignored']).optional(),
  serviceProbe: message({
    interval: duration.optional(),
    timeout: duration.optional(),
    unhealthyThreshold: z.number().int().optional(),
    healthyThreshold: z.number().int().optional(),
    tcp: message({}).optional(),
  }).optional(),
})

const outbound = message({
  port: port.optional(),
  address: z.string().optional(),
  tags: tagMap.optional(),
  backendRef: message({
    kind: z.string().optional(),
    name: z.string().optional(),
    port: z.number().int().optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }).optional(),
})

const reachableRef = message({
  kind: z.string().optional(),
  name: z.string().optional(),
  namespace: z.string().optional(),
  port: z.number().int().optional(),
  labels: z.record(z.string(), z.string()).optional(),
})

/** A listener of a zone proxy on a Dataplane. It is stored, but not served yet. */
const listener = message({
  type: z.string().optional(),
  address: z.string().optional(),
  port: z.number().int().optional(),
  name: z.string().optional(),
  state: z.string().optional(),
})

export const dataplaneSchema = message({
  networking: message({
    address: z.string().optional(),
    advertisedAddress: z.string().optional(),
    admin: admin.optional(),
    inbound: z.array(inbound).optional(),
    outbound: z.array(outbound).optional(),
    gateway: message({ type: protoEnum(['DELEGATED', 'BUILTIN']).optional(), tags: tagMap.optional() }).optional(),
    transparentProxying: message({
      redirectPortInbound: z.number().int().optional(),
      redirectPortInboundV6: z.number().int().optional(),
      redirectPortOutbound: z.number().int().optional(),
      ipFamilyMode: z.string().optional(),
      directAccessServices: z.array(z.string()).optional(),
      reachableServices: z.array(z.string()).optional(),
      reachableBackends: message({ refs: z.array(reachableRef).optional() }).optional(),
    }).optional(),
    listeners: z.array(listener).optional(),
  }).optional(),
  metrics: message({
    name: z.string().optional(),
    type: z.string().optional(),
    conf: z.record(z.string(), z.json()).optional(),
  }).optional(),
  probes: message({
    port: z.number().int().optional(),
    endpoints: z
      .array(
        message({
          inboundPort: z.number().int().optional(),
          inboundPath: z.string().optional(),
          path: z.string().optional(),
        }),
      )
      .optional(),
  }).optional(),
})
export type DataplaneSpec = z.infer<typeof dataplaneSchema>
export type DataplaneInbound = z.infer<typeof inbound>
export type DataplaneOutbound = z.infer<typeof outbound>

/** The role of a Dataplane: an ordinary sidecar, a builtin gateway, or the sidecar of a delegated gateway. */
export function dataplaneRole(spec: DataplaneSpec): 'sidecar' | 'builtin' | 'delegated' {
  const gateway = spec.networking?.gateway
  return gateway ? (gateway.type === 'BUILTIN' ? 'builtin' : 'delegated') : 'sidecar'
}

/** The services of a Dataplane, sorted. Its certificate has one name for each. */
export function dataplaneServices(spec: DataplaneSpec): string[] {
  const all = [spec.networking?.gateway?.tags, ...(spec.networking?.inbound ?? []).map((one) => one.tags)]
  return [...new Set(all.map((tags) => tags?.[serviceTag] ?? '').filter((service) => service !== ''))].sort()
}

export const isReady = (one: DataplaneInbound): boolean =>
  (one.state ?? 'Ready') === 'Ready' && one.health?.ready !== false
