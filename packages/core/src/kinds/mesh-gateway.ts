import { z } from 'zod'
import {
  checkSelectors,
  checkTags,
  dataSource,
  isSubdomain,
  meshTag,
  port,
  portInRange,
  portReason,
  protocolTag,
  protoEnum,
  selectorList,
  serviceTag,
  tagMap,
  zoneTag,
} from './common.ts'
import { defineKind, message, type Violation } from './kind.ts'

const listener = message({
  hostname: z.string().optional(),
  port: port.optional(),
  protocol: protoEnum(['NONE', 'TCP', 'TLS', 'HTTP', 'HTTPS']).optional(),
  tls: message({
    mode: protoEnum(['NONE', 'TERMINATE', 'PASSTHROUGH']).optional(),
    certificates: z.array(dataSource).optional(),
    options: z.record(z.string(), z.json()).optional(),
  }).optional(),
  tags: tagMap.optional(),
  crossMesh: z.boolean().optional(),
  resources: message({ connectionLimit: z.number().int().nonnegative().optional() }).optional(),
})

const meshGatewaySchema = message({
  selectors: selectorList.default([]),
  tags: tagMap.optional(),
  conf: message({ listeners: z.array(listener).optional() }).optional(),
})
export type MeshGatewaySpec = z.infer<typeof meshGatewaySchema>
export type GatewayListener = z.infer<typeof listener>

const reservedTags = ['kuma.io/external-service-name', protocolTag, serviceTag, zoneTag, meshTag].filter(
  (tag) => tag !== meshTag,
)

/** `""` and `*` are the same hostname: any. */
export const listenerHostname = (listener: GatewayListener): string => listener.hostname || '*'

function checkHostname(field: string, hostname: string): Violation[] {
  if (hostname === '' || hostname === '*') return []
  if (hostname.length > 253) return [{ field, reason: 'must be at most 253 characters' }]
  if (hostname.startsWith('*')) {
    return hostname.startsWith('*.') && isSubdomain(hostname.slice(2))
      ? []
      : [{ field, reason: 'invalid wildcard domain' }]
  }
  return isSubdomain(hostname) ? [] : [{ field, reason: 'invalid hostname' }]
}

function checkTls(field: string, listener: GatewayListener): Violation[] {
  const { tls, protocol, crossMesh } = listener
  if (!tls) return protocol === 'HTTPS' || protocol === 'TLS' ? [{ field, reason: 'cannot be empty' }] : []
  const certificates = tls.certificates ?? []
  const mode = tls.mode ?? 'NONE'
  if (crossMesh)
    return mode !== 'NONE' || certificates.length > 0 ? [{ field, reason: 'must be empty with crossMesh' }] : []
  if (mode === 'NONE') return [{ field: `${field}.mode`, reason: 'cannot be empty' }]
  if (protocol === 'HTTPS' && mode === 'PASSTHROUGH') {
    return [{ field: `${field}.mode`, reason: 'mode is not supported on HTTPS listeners' }]
  }
  if (mode === 'TERMINATE' && certificates.length === 0) {
    return [{ field: `${field}.certificates`, reason: 'cannot be empty in TLS termination mode' }]
  }
  return certificates.length > 2
    ? [{ field: `${field}.certificates`, reason: 'cannot have more than 2 certificates' }]
    : []
}

function checkListener(field: string, listener: GatewayListener): Violation[] {
  const { protocol = 'NONE', crossMesh } = listener
  return [
    ...checkHostname(`${field}.hostname`, listener.hostname ?? ''),
    ...(portInRange(listener.port) ? [] : [{ field: `${field}.port`, reason: portReason }]),
    ...(protocol === 'NONE' ? [{ field: `${field}.protocol`, reason: 'cannot be empty' }] : []),
    ...(crossMesh && protocol !== 'HTTP' && protocol !== 'NONE'
      ? [{ field: `${field}.protocol`, reason: 'protocol is not supported with crossMesh' }]
      : []),
    ...checkTls(`${field}.tls`, listener),
    ...checkTags(`${field}.tags`, listener.tags ?? {}, {
      selector: false,
      requireService: false,
      forbidden: reservedTags,
      allowSlash: true,
    }),
  ]
}

/** What listeners of one port must agree on. Reported on every listener of that port, as Kuma does. */
function checkPorts(listeners: readonly GatewayListener[]): Violation[] {
  return listeners.flatMap((one, index) => {
    const others = listeners.filter((other, at) => at !== index && other.port === one.port)
    const field = `conf.listeners[${index}]`
    const limit = one.resources?.connectionLimit ?? 0
    return [
      ...(others.some((other) => other.protocol !== one.protocol)
        ? [{ field, reason: 'protocol conflicts with other listeners on this port' }]
        : []),
      ...(others.some((other) => listenerHostname(other) === listenerHostname(one))
        ? [{ field, reason: 'multiple listeners for hostname on this port' }]
        : []),
      ...(limit > 0 &&
      others.some((other) => (other.resources?.connectionLimit ?? 0) > 0 && other.resources?.connectionLimit !== limit)
        ? [{ field: `${field}.resources.connectionLimit`, reason: 'conflicting values for this port' }]
        : []),
      ...(others.some((other) => (other.crossMesh ?? false) !== (one.crossMesh ?? false))
        ? [{ field: `${field}.crossMesh`, reason: 'conflicts with other listeners on this port' }]
        : []),
    ]
  })
}

function check(gateway: MeshGatewaySpec): Violation[] {
  const listeners = gateway.conf?.listeners ?? []
  const crossMesh = listeners.some((listener) => listener.crossMesh)
  return [
    ...checkSelectors('selectors', gateway.selectors, true),
    ...(crossMesh
      ? gateway.selectors
          .slice(1)
          .map((_unused, index) => ({ field: `selectors[${index + 1}]`, reason: 'there can be at most one selector' }))
      : []),
    ...checkTags('tags', gateway.tags ?? {}, {
      selector: false,
      requireService: false,
      forbidden: reservedTags,
      allowSlash: true,
    }),
    ...(gateway.conf
      ? listeners.length === 0
        ? [{ field: 'conf.listeners', reason: 'cannot be empty' }]
        : []
      : [{ field: 'conf', reason: 'cannot be empty' }]),
    ...listeners.flatMap((listener, index) => checkListener(`conf.listeners[${index}]`, listener)),
    ...checkPorts(listeners),
  ]
}

export const meshGateway = defineKind({
  name: 'MeshGateway',
  path: 'meshgateways',
  shortName: 'mgw',
  scope: 'mesh',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  schema: meshGatewaySchema,
  check,
  unserved: (spec) =>
    (spec.conf?.listeners ?? []).flatMap((listener, index) => {
      const at = `conf.listeners[${index}]`
      return [
        ...(listener.protocol !== 'HTTP'
          ? [`${at}.protocol: ${listener.protocol} listeners are not served yet, only HTTP`]
          : []),
        ...(listener.crossMesh ? [`${at}.crossMesh: not served yet`] : []),
        ...(listener.tls && listener.protocol === 'HTTP' ? [`${at}.tls: has no effect on an HTTP listener`] : []),
        ...(listener.resources?.connectionLimit ? [`${at}.resources.connectionLimit: not served yet`] : []),
      ]
    }),
})
