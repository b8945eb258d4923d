import { z } from 'zod'
import {
  checkAddress,
  checkTags,
  duration,
  port,
  portInRange,
  portReason,
  protocols,
  protocolTag,
  protoEnum,
  serviceTag,
  tagMap,
} from './common.ts'
import { defineKind, type IndexEntry, message, type TypedRow, type Violation } from './kind.ts'
import { demand, ranges } from './ranges.ts'

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
  backendRef: z.record(z.string(), z.json()).optional(),
})

const dataplaneSchema = message({
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
      reachableBackends: z.record(z.string(), z.json()).optional(),
    }).optional(),
    listeners: z.array(z.record(z.string(), z.json())).optional(),
  }).optional(),
  metrics: z.record(z.string(), z.json()).optional(),
  probes: z.record(z.string(), z.json()).optional(),
})
export type DataplaneSpec = z.infer<typeof dataplaneSchema>
export type DataplaneInbound = z.infer<typeof inbound>
export type DataplaneOutbound = z.infer<typeof outbound>

/** What a Dataplane is: an ordinary sidecar, a builtin gateway, or the sidecar of somebody else's gateway. */
export function dataplaneRole(spec: DataplaneSpec): 'sidecar' | 'builtin' | 'delegated' {
  const gateway = spec.networking?.gateway
  return gateway ? (gateway.type === 'BUILTIN' ? 'builtin' : 'delegated') : 'sidecar'
}

/** The services a Dataplane stands for, sorted; its certificate carries one name each. */
export function dataplaneServices(spec: DataplaneSpec): string[] {
  const all = [spec.networking?.gateway?.tags, ...(spec.networking?.inbound ?? []).map((one) => one.tags)]
  return [...new Set(all.map((tags) => tags?.[serviceTag] ?? '').filter((service) => service !== ''))].sort()
}

export const isReady = (one: DataplaneInbound): boolean =>
  (one.state ?? 'Ready') === 'Ready' && one.health?.ready !== false

function checkInbound(field: string, one: DataplaneInbound, address: string): Violation[] {
  const violations: Violation[] = []
  if (!portInRange(one.port)) violations.push({ field: `${field}.port`, reason: portReason })
  if (one.servicePort !== undefined && one.servicePort !== 0 && !portInRange(one.servicePort)) {
    violations.push({ field: `${field}.servicePort`, reason: portReason })
  }
  if (one.address !== undefined) violations.push(...checkAddress(`${field}.address`, one.address))
  if (one.serviceAddress !== undefined) {
    violations.push(...checkAddress(`${field}.serviceAddress`, one.serviceAddress))
    if (one.serviceAddress === (one.address ?? address) && (one.servicePort || one.port) === one.port) {
      violations.push({
        field: `${field}.serviceAddress`,
        reason: 'serviceAddress and servicePort has to differ from address and port',
      })
    }
  }
  const tags = one.tags ?? {}
  if (!tags[serviceTag]) violations.push({ field: `${field}.tags["${serviceTag}"]`, reason: 'tag has to exist' })
  const protocol = tags[protocolTag]
  if (protocol !== undefined && !protocols.some((known) => known === protocol)) {
    violations.push({
      field: `${field}.tags["${protocolTag}"]`,
      reason: `tag "${protocolTag}" has an invalid value "${protocol}". Allowed values: ${protocols.join(', ')}`,
    })
  }
  violations.push(...checkTags(`${field}.tags`, tags, { selector: false, requireService: false }))
  for (const key of ['interval', 'timeout'] as const) {
    if (one.serviceProbe?.[key]?.startsWith('-'))
      violations.push({ field: `${field}.serviceProbe.${key}`, reason: 'must have a positive value' })
  }
  return violations
}

function checkGateway(spec: DataplaneSpec): Violation[] {
  const { inbound: inbounds = [], outbound: outbounds = [], listeners = [], gateway } = spec.networking ?? {}
  const role = dataplaneRole(spec)
  const violations: Violation[] = []
  if (inbounds.length > 0)
    violations.push({ field: 'networking.inbound', reason: `inbound cannot be defined for ${role} gateways` })
  if (role === 'builtin' && outbounds.length > 0) {
    violations.push({ field: 'networking.outbound', reason: 'outbound cannot be defined for builtin gateways' })
  }
  if (listeners.length > 0)
    violations.push({ field: 'networking.listeners', reason: `listeners cannot be defined for ${role} gateways` })
  if (role === 'builtin' && spec.probes)
    violations.push({ field: 'networking.probes', reason: 'probes cannot be defined for builtin gateways' })
  const tags = gateway?.tags ?? {}
  violations.push(...checkTags('networking.gateway.tags', tags, { selector: false, requireService: true }))
  const protocol = tags[protocolTag]
  if (protocol !== undefined && protocol !== 'tcp') {
    violations.push({
      field: `networking.gateway.tags["${protocolTag}"]`,
      reason: `other values than tcp are not allowed, provided value "${protocol}"`,
    })
  }
  return violations
}

function check(spec: DataplaneSpec): Violation[] {
  const { networking } = spec
  if (!networking) return [{ field: 'networking', reason: 'must be defined' }]
  const { address = '', inbound: inbounds = [], outbound: outbounds = [], gateway, admin: adminPort } = networking
  const violations = checkAddress('networking.address', address)
  if (networking.advertisedAddress !== undefined) {
    violations.push(...checkAddress('networking.advertisedAddress', networking.advertisedAddress))
  }
  if (gateway) violations.push(...checkGateway(spec))
  else if (inbounds.length === 0 && (networking.listeners ?? []).length === 0) {
    violations.push({ field: 'networking', reason: 'has to contain at least one inbound interface or gateway' })
  }
  inbounds.forEach((one, index) => violations.push(...checkInbound(`networking.inbound[${index}]`, one, address)))
  outbounds.forEach((one, index) => {
    const field = `networking.outbound[${index}]`
    if (!portInRange(one.port)) violations.push({ field: `${field}.port`, reason: portReason })
    if (one.address !== undefined) violations.push(...checkAddress(`${field}.address`, one.address))
    if (!one.backendRef && !one.tags?.[serviceTag])
      violations.push({ field: `${field}.tags`, reason: `mandatory tag "${serviceTag}" is missing` })
    if (one.backendRef && one.tags) violations.push({ field, reason: 'both backendRef and tags cannot be defined' })
  })
  if (adminPort?.port && inbounds.some((one) => one.port === adminPort.port)) {
    violations.push({ field: 'networking.admin.port', reason: 'must differ from inbound' })
  }
  if (adminPort?.port && outbounds.some((one) => one.port === adminPort.port)) {
    violations.push({ field: 'networking.admin.port', reason: 'must differ from outbound' })
  }
  return violations
}

/** Only rows of the compiler's own zone are found: an instance of another zone is reached through its ingress. */
function indexOf({ key, spec }: TypedRow<DataplaneSpec>, zone: string): readonly IndexEntry[] {
  if (key.origin !== zone) return []
  const { networking } = spec
  const { mesh } = key
  const gateway = dataplaneRole(spec) === 'builtin' ? networking?.gateway?.tags?.[serviceTag] : ''
  return [
    { range: ranges.ownMeshes, member: mesh },
    ...(gateway
      ? [{ range: ranges.gateways(mesh, gateway) }, { range: ranges.ownGateways(mesh), member: gateway }]
      : []),
    ...(networking?.inbound ?? []).flatMap((one) => {
      const service = one.tags?.[serviceTag]
      if (!service || one.state === 'Ignored') return []
      return [
        { range: ranges.serving(mesh, service) },
        ...(isReady(one) ? [{ range: ranges.ownServices(mesh), member: service }] : []),
      ]
    }),
    ...(networking?.outbound ?? []).flatMap((one) => demand(mesh, one.tags)),
  ]
}

export const dataplane = defineKind({
  name: 'Dataplane',
  path: 'dataplanes',
  shortName: 'dp',
  title: { singular: 'Dataplane', plural: 'Dataplanes' },
  scope: 'mesh',
  travel: 'zone-to-global',
  writable: { global: false, zone: true },
  schema: dataplaneSchema,
  compiled: {
    owner: 'zone',
    blame: 110,
    index: indexOf,
    names: ({ key, spec }, zone) =>
      key.origin === zone
        ? (spec.networking?.inbound ?? []).flatMap(({ state, tags }) =>
            state === 'Ignored' ? [] : tags?.[serviceTag] || [],
          )
        : [],
  },
  check,
  unserved: ({ networking, metrics, probes }) => [
    ...(metrics ? ['metrics: not served yet'] : []),
    ...(probes ? ['probes: not served yet'] : []),
    ...((networking?.listeners ?? []).length > 0
      ? ['networking.listeners: zone proxies on a Dataplane are not served; use a ZoneIngress']
      : []),
    ...(networking?.inbound ?? []).flatMap((one, index) =>
      one.serviceProbe
        ? [`networking.inbound[${index}].serviceProbe: health of the service is not probed yet; it counts as ready`]
        : [],
    ),
    ...(networking?.outbound ?? []).flatMap((one, index) => [
      ...(one.backendRef ? [`networking.outbound[${index}].backendRef: not served; use tags`] : []),
    ]),
    ...(networking?.transparentProxying?.redirectPortOutbound
      ? ['networking.transparentProxying.redirectPortOutbound: transparent proxying is not served yet']
      : []),
    ...(networking?.transparentProxying?.reachableBackends
      ? ['networking.transparentProxying.reachableBackends: not served; use reachableServices']
      : []),
  ],
})
