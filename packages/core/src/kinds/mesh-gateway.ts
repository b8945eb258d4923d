import { z } from 'zod'
import {
  checkSelectors,
  checkTags,
  dataSource,
  isSubdomain,
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
import { decodeBase64, readPem } from './pem.ts'

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
  resources: message({ connectionLimit: z.number().int().nonnegative().max(4_294_967_295).optional() }).optional(),
})

const meshGatewaySchema = message({
  selectors: selectorList.default([]),
  tags: tagMap.optional(),
  conf: message({ listeners: z.array(listener).optional() }).optional(),
})
export type MeshGatewaySpec = z.infer<typeof meshGatewaySchema>
export type GatewayListener = z.infer<typeof listener>
/** Where a certificate and its key come from. */
export type ListenerCertificate = z.infer<typeof dataSource>

const reservedTags = ['kuma.io/external-service-name', protocolTag, serviceTag, zoneTag]

/** `""` and `*` are the same hostname: any. */
export const listenerHostname = (listener: GatewayListener): string => listener.hostname || '*'

/** Why a hostname is none, in a few words; undefined of a good one. */
export function hostnameFault(hostname: string): string | undefined {
  if (hostname === '' || hostname === '*') return undefined
  if (hostname.length > 253) return 'must be at most 253 characters'
  if (!hostname.startsWith('*')) return isSubdomain(hostname) ? undefined : 'invalid hostname'
  return hostname.startsWith('*.') && isSubdomain(hostname.slice(2)) ? undefined : 'invalid wildcard domain'
}

/** What the members of a certificate hold; more or less than one is a mistake. */
export const givenSources = (one: ListenerCertificate): readonly (keyof ListenerCertificate)[] =>
  (['secret', 'inline', 'inlineString', 'file'] as const).filter((member) => one[member] !== undefined)

/** The text of a certificate that stands in the listener itself; undefined of one that does not, or is not base64. */
export const inlinePem = ({ inline, inlineString }: ListenerCertificate): string | undefined =>
  inlineString ?? (inline === undefined ? undefined : decodeBase64(inline))

function checkCertificate(field: string, one: ListenerCertificate): Violation[] {
  const members = givenSources(one)
  const [member] = members
  if (!member || members.length > 1) {
    return [{ field, reason: 'must have exactly one of secret, inline, inlineString, file' }]
  }
  const at = `${field}.${member}`
  if (one[member] === '') return [{ field: at, reason: 'cannot be empty' }]
  if (member !== 'inline' && member !== 'inlineString') return []
  const pem = inlinePem(one)
  if (pem === undefined) return [{ field: at, reason: 'expected base64' }]
  const facts = readPem(pem)
  return facts.ok ? [] : [{ field: at, reason: facts.error }]
}

/** What two certificates must differ in to be two: Envoy is told of each by one name. */
function certificateName(one: ListenerCertificate): string | undefined {
  if (one.secret) return `secret:${one.secret}`
  const facts = readPem(inlinePem(one) ?? '')
  return facts.ok ? `cert.${facts.value.keyType}` : undefined
}

function checkCertificates(field: string, certificates: readonly ListenerCertificate[]): Violation[] {
  if (certificates.length === 0) return [{ field, reason: 'cannot be empty in TLS termination mode' }]
  const names = certificates.map(certificateName)
  return [
    ...(certificates.length > 2 ? [{ field, reason: 'cannot have more than 2 certificates' }] : []),
    ...certificates.flatMap((one, index) => {
      const at = `${field}[${index}]`
      const name = names[index]
      const isSecond = name !== undefined && names.indexOf(name) < index
      return [
        ...checkCertificate(at, one),
        ...(isSecond ? [{ field: at, reason: `duplicate TLS certificate "${name}"` }] : []),
      ]
    }),
  ]
}

function checkTls(field: string, listener: GatewayListener): Violation[] {
  const { tls, protocol, crossMesh } = listener
  if (!tls) return protocol === 'HTTPS' || protocol === 'TLS' ? [{ field, reason: 'cannot be empty' }] : []
  const certificates = tls.certificates ?? []
  const mode = tls.mode ?? 'NONE'
  if (crossMesh)
    return mode !== 'NONE' || certificates.length > 0 ? [{ field, reason: 'must be empty with crossMesh' }] : []
  if (mode === 'NONE') return [{ field: `${field}.mode`, reason: 'cannot be empty' }]
  if (protocol === 'HTTP' || protocol === 'TCP') {
    // It would be served in the clear, which is not what somebody means who writes this.
    return [{ field, reason: `must be empty on ${protocol} listeners` }]
  }
  if (protocol === 'HTTPS' && mode === 'PASSTHROUGH') {
    return [{ field: `${field}.mode`, reason: 'mode is not supported on HTTPS listeners' }]
  }
  return mode === 'TERMINATE' ? checkCertificates(`${field}.certificates`, certificates) : []
}

function checkListener(field: string, listener: GatewayListener): Violation[] {
  const { hostname = '', protocol = 'NONE', crossMesh } = listener
  const fault = hostnameFault(hostname)
  return [
    ...(fault === undefined ? [] : [{ field: `${field}.hostname`, reason: fault }]),
    ...(fault === undefined && protocol === 'TCP' && hostname.startsWith('*.')
      ? [{ field: `${field}.hostname`, reason: 'wildcard hostnames are not supported on TCP listeners' }]
      : []),
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
      ...(one.protocol === 'TCP' &&
      others.some((other) => other.protocol === 'TCP' && listenerHostname(other) !== listenerHostname(one))
        ? [{ field, reason: 'multiple TCP listeners on this port' }]
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
      const { hostname, protocol, tls, crossMesh } = listener
      const isNamed = spec.selectors[0]?.match?.[serviceTag] !== '*'
      return [
        ...(crossMesh && !isNamed
          ? [`${at}.crossMesh: has no name in other meshes, as the selector names no service`]
          : []),
        ...(protocol === 'TCP' && hostname && hostname !== '*'
          ? [`${at}.hostname: has no effect on a TCP listener`]
          : []),
        ...(tls?.mode === 'PASSTHROUGH' && tls.certificates?.length
          ? [`${at}.tls.certificates: have no effect where TLS is passed through`]
          : []),
        ...(tls?.certificates ?? []).flatMap((one, position) =>
          one.file === undefined
            ? []
            : [`${at}.tls.certificates[${position}].file: not served; use a secret, or inline data`],
        ),
      ]
    }),
})
