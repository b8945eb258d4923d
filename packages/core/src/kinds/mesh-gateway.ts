import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { firstOf, hostPort, selectorsText, tagsText } from './columns.ts'
import {
  checkSelectors,
  checkTags,
  displayNameLabel,
  portInRange,
  portReason,
  protocolTag,
  serviceTag,
  zoneTag,
} from './common.ts'
import { crossMeshHosts, crossMeshListeners, hostAddressName } from './cross-mesh.ts'
import { defineKind, type Violation } from './kind.ts'
import {
  type GatewayListener,
  givenSources,
  hostnameFault,
  inlinePem,
  type ListenerCertificate,
  listenerHostname,
  type MeshGatewaySpec,
  meshGatewaySchema,
} from './mesh-gateway-spec.ts'
import { readPem } from './pem.ts'
import { demand, ranges, selecting } from './ranges.ts'

const reservedTags = ['kuma.io/external-service-name', protocolTag, serviceTag, zoneTag]

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

/** The name under which Envoy gets a certificate. Two certificates of a listener must differ in it. */
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
  if (!tls)
    return !crossMesh && (protocol === 'HTTPS' || protocol === 'TLS') ? [{ field, reason: 'cannot be empty' }] : []
  const certificates = tls.certificates ?? []
  const mode = tls.mode ?? 'NONE'
  if (crossMesh)
    return mode !== 'NONE' || certificates.length > 0 ? [{ field, reason: 'must be empty with crossMesh' }] : []
  if (mode === 'NONE') return [{ field: `${field}.mode`, reason: 'cannot be empty' }]
  if (protocol === 'HTTP' || protocol === 'TCP') {
    // The listener would serve plain text, which contradicts the TLS settings.
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

/**
 * Properties that listeners of one port must share. As in Kuma, a conflict is reported on every listener of the port,
 * rule by rule.
 */
function checkPorts(listeners: readonly GatewayListener[]): Violation[] {
  const limitOf = (one: GatewayListener): number => one.resources?.connectionLimit ?? 0
  const rules: readonly [string, string, (one: GatewayListener, other: GatewayListener) => boolean][] = [
    ['', 'protocol conflicts with other listeners on this port', (one, other) => other.protocol !== one.protocol],
    [
      '',
      'multiple listeners for hostname on this port',
      (one, other) => listenerHostname(other) === listenerHostname(one),
    ],
    [
      '',
      'multiple TCP listeners on this port',
      (one, other) =>
        one.protocol === 'TCP' && other.protocol === 'TCP' && listenerHostname(other) !== listenerHostname(one),
    ],
    [
      '.resources.connectionLimit',
      'conflicting values for this port',
      (one, other) => limitOf(one) > 0 && limitOf(other) > 0 && limitOf(other) !== limitOf(one),
    ],
    [
      '.crossMesh',
      'conflicts with other listeners on this port',
      (one, other) => (other.crossMesh ?? false) !== (one.crossMesh ?? false),
    ],
  ]
  return rules.flatMap(([member, reason, conflict]) =>
    listeners.flatMap((one, index) =>
      listeners.some((other, at) => at !== index && other.port === one.port && conflict(one, other))
        ? [{ field: `conf.listeners[${index}]${member}`, reason }]
        : [],
    ),
  )
}

function check(gateway: MeshGatewaySpec): Violation[] {
  const listeners = gateway.conf?.listeners ?? []
  const crossMesh = listeners.some((listener) => listener.crossMesh)
  return [
    ...checkSelectors('selectors', gateway.selectors, { requireAny: true, requireService: true }),
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
  compiled: {
    owner: 'global',
    blame: 120,
    index: (row) => [
      ...selecting(row, row.spec.selectors),
      ...(crossMeshListeners(row.spec).length > 0 ? [{ range: ranges.crossMeshGateways }] : []),
      ...crossMeshHosts(row.key.mesh, row.key.name, row.spec).flatMap((host) => demand(row.key.mesh, host.destination)),
    ],
    names: ({ key, labels, spec }, zone) =>
      key.origin === globalOrigin || key.origin === zone
        ? crossMeshHosts(key.mesh, labels[displayNameLabel] ?? key.name, spec).map(({ hostname }) =>
            hostAddressName(hostname),
          )
        : [],
    secrets: ({ conf }) =>
      (conf?.listeners ?? []).flatMap(({ tls }) => (tls?.certificates ?? []).flatMap(({ secret }) => secret || [])),
  },
  check,
  columns: [
    { title: 'GATEWAY', cell: ({ spec }) => selectorsText(spec.selectors) },
    {
      title: 'LISTENERS',
      cell: ({ spec }) =>
        firstOf(
          (spec.conf?.listeners ?? []).map(
            (one) => `${hostPort(listenerHostname(one), one.port)}/${one.protocol ?? 'NONE'}`,
          ),
        ),
    },
    { title: 'TAGS', isWide: true, cell: ({ spec }) => tagsText(spec.tags) },
  ],
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
