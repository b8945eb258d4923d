import {
  checkAddress,
  checkPort,
  checkTags,
  durationMs,
  isIp,
  isSubdomain,
  meetsAdmin,
  type Protocol,
  protocols,
  protocolTag,
  serviceTag,
  type Tags,
} from './common.ts'
import { type DataplaneInbound, type DataplaneOutbound, type DataplaneSpec, dataplaneRole } from './dataplane-spec.ts'
import type { Violation } from './kind.ts'
import { checkPrometheus, unknownBackend } from './observability-checks.ts'

const loopback = '127.0.0.1'
const backendKinds = ['MeshExternalService', 'MeshMultiZoneService', 'MeshService']
const unknownBackendKind = `invalid value. Available values are: ${backendKinds.join(',')}`

type Networking = NonNullable<DataplaneSpec['networking']>

/** Kuma's rules for a Dataplane, in its order. */
export function checkDataplane(spec: DataplaneSpec): Violation[] {
  const { networking } = spec
  if (!networking) return [{ field: 'networking', reason: 'must be defined' }]
  const violations = checkAdmin(networking)
  const role = dataplaneRole(spec)
  if (role !== 'sidecar') violations.push(...checkGateway(spec, networking, role))
  violations.push(...checkNetworking(networking))
  if (role !== 'builtin') violations.push(...checkProbes(spec.probes))
  if (role === 'sidecar') {
    if (spec.metrics) violations.push(...checkMetrics(spec.metrics))
    violations.push(...checkListeners(networking))
  }
  return violations
}

function checkAdmin({ admin, address = '', inbound = [], outbound = [] }: Networking): Violation[] {
  if (!admin?.port) return []
  const meets = (host: string, port: number | undefined): boolean => port === admin.port && meetsAdmin(host)
  const field = 'networking.admin.port'
  return [
    ...(inbound.some(
      (one) =>
        meets(one.address ?? address, one.port) || meets(one.serviceAddress || loopback, one.servicePort || one.port),
    )
      ? [{ field, reason: 'must differ from inbound' }]
      : []),
    ...(outbound.some((one) => meets(one.address ?? loopback, one.port))
      ? [{ field, reason: 'must differ from outbound' }]
      : []),
  ]
}

function checkGateway(spec: DataplaneSpec, networking: Networking, role: 'builtin' | 'delegated'): Violation[] {
  const { inbound = [], outbound = [], listeners = [], gateway } = networking
  const violations: Violation[] = []
  if (inbound.length > 0)
    violations.push({ field: 'networking.inbound', reason: `inbound cannot be defined for ${role} gateways` })
  if (role === 'builtin' && outbound.length > 0)
    violations.push({ field: 'networking.outbound', reason: 'outbound cannot be defined for builtin gateways' })
  if (listeners.length > 0)
    violations.push({ field: 'networking.listeners', reason: `listeners cannot be defined for ${role} gateways` })
  if (role === 'builtin' && spec.probes)
    violations.push({ field: 'networking.probes', reason: 'probes cannot be defined for builtin gateways' })
  const tags = gateway?.tags ?? {}
  const extra = (field: string, { [protocolTag]: protocol }: Tags): Violation[] =>
    protocol === undefined || protocol === 'tcp'
      ? []
      : [
          {
            field: `${field}["${protocolTag}"]`,
            reason: `other values than tcp are not allowed, provided value "${protocol}"`,
          },
        ]
  const requireService = Object.keys(tags).length > 0
  return [...violations, ...checkTags('networking.gateway.tags', tags, { selector: false, requireService, extra })]
}

function checkNetworking(networking: Networking): Violation[] {
  const { address = '', advertisedAddress, inbound = [], outbound = [], transparentProxying } = networking
  return [
    ...checkAddress('networking.address', address),
    ...(advertisedAddress === undefined ? [] : checkAddress('networking.advertisedAddress', advertisedAddress)),
    ...inbound.flatMap((one, index) => checkInbound(`networking.inbound[${index}]`, one, address)),
    ...outbound.flatMap((one, index) => checkOutbound(`networking.outbound[${index}]`, one)),
    ...checkReachable(transparentProxying?.reachableBackends),
  ]
}

const checkIp = (field: string, name: string, value: string | undefined): Violation[] =>
  value === undefined || value === '' || isIp(value)
    ? []
    : [{ field: `${field}.${name}`, reason: `${name} has to be valid IP address` }]

const isProtocol = (text: string): text is Protocol => protocols.some((known) => known === text)
const allowedProtocols = `Allowed values: ${protocols.join(', ')}`

function checkInbound(field: string, one: DataplaneInbound, proxyAddress: string): Violation[] {
  const { port, servicePort, serviceAddress, address, tags = {}, protocol } = one
  // Kuma checks both addresses, so it may report the same mistake twice.
  const meetsItself = (host: string): Violation[] =>
    serviceAddress && serviceAddress === host && (!servicePort || servicePort === port)
      ? [
          {
            field: `${field}.serviceAddress`,
            reason: 'serviceAddress and servicePort has to differ from address and port',
          },
        ]
      : []
  const extra = (at: string, { [protocolTag]: tagged }: Tags): Violation[] =>
    tagged === undefined || isProtocol(tagged)
      ? []
      : [
          {
            field: `${at}["${protocolTag}"]`,
            reason: `tag "${protocolTag}" has an invalid value "${tagged}". ${allowedProtocols}`,
          },
        ]
  return [
    ...checkPort(`${field}.port`, port),
    ...(servicePort ? checkPort(`${field}.servicePort`, servicePort) : []),
    ...checkIp(field, 'serviceAddress', serviceAddress),
    ...meetsItself(proxyAddress),
    ...checkIp(field, 'address', address),
    ...(address ? meetsItself(address) : []),
    ...checkTags(`${field}.tags`, tags, { selector: false, requireService: false, extra }),
    ...(protocol && !isProtocol(protocol)
      ? [{ field: `${field}.protocol`, reason: `has an invalid value "${protocol}". ${allowedProtocols}` }]
      : []),
    ...checkServiceProbe(`${field}.serviceProbe`, one.serviceProbe),
    ...(Object.keys(tags).length > 0 && tags[serviceTag] === undefined
      ? [{ field: `${field}.tags["${serviceTag}"]`, reason: 'tag has to exist' }]
      : []),
  ]
}

function checkServiceProbe(field: string, probe: DataplaneInbound['serviceProbe']): Violation[] {
  const { interval, timeout, unhealthyThreshold, healthyThreshold } = probe ?? {}
  const values = {
    interval: interval === undefined ? undefined : durationMs(interval),
    timeout: timeout === undefined ? undefined : durationMs(timeout),
    unhealthyThreshold,
    healthyThreshold,
  }
  return Object.entries(values).flatMap(([name, value]) =>
    value !== undefined && value <= 0 ? [{ field: `${field}.${name}`, reason: 'must have a positive value' }] : [],
  )
}

function checkOutbound(field: string, { port, address, tags = {}, backendRef }: DataplaneOutbound): Violation[] {
  const hasTags = Object.keys(tags).length > 0
  return [
    ...checkPort(`${field}.port`, port),
    ...checkIp(field, 'address', address),
    ...(backendRef
      ? checkBackendRef(`${field}.backendRef`, backendRef)
      : hasTags
        ? checkTags(`${field}.tags`, tags, { selector: false, requireService: true })
        : [{ field: `${field}.tags`, reason: `mandatory tag "${serviceTag}" is missing` }]),
    ...(backendRef && hasTags
      ? [{ field: `${field}.backendRef`, reason: 'both backendRef and tags/service cannot be defined' }]
      : []),
  ]
}

function checkBackendRef(field: string, ref: NonNullable<DataplaneOutbound['backendRef']>): Violation[] {
  const { kind = '', name, labels = {}, port } = ref
  return [
    ...(backendKinds.includes(kind) ? [] : [{ field: `${field}.kind`, reason: unknownBackendKind }]),
    ...(name || Object.keys(labels).length > 0
      ? []
      : [{ field, reason: "either 'name' or 'labels' should be specified" }]),
    // An external service uses the ports of its endpoints.
    ...(kind === 'MeshExternalService' ? [] : checkPort(`${field}.port`, port)),
  ]
}

type Reachable = NonNullable<Networking['transparentProxying']>['reachableBackends']

/** The path has Kuma's misspelling, because clients compare paths. */
function checkReachable(reachable: Reachable): Violation[] {
  return (reachable?.refs ?? []).flatMap(({ kind = '', name = '', namespace = '', labels = {} }, index) => {
    const field = `networking.transparentProxing.reachableBackends.refs[${index}]`
    const hasLabels = Object.keys(labels).length > 0
    const reasons: [string, string | false][] = [
      ['kind', !backendKinds.includes(kind) && unknownBackendKind],
      [
        'name',
        name !== '' &&
          !isSubdomain(name) &&
          "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
      ],
      ['name', name === '' && namespace === '' && !hasLabels && 'name or labels are required'],
      ['name', name === '' && namespace !== '' && 'name is required, when namespace is defined'],
      ['labels', (name !== '' || namespace !== '') && hasLabels && 'labels cannot be defined when name is specified'],
    ]
    return reasons.flatMap(([member, reason]) => (reason ? [{ field: `${field}.${member}`, reason }] : []))
  })
}

/** An absolute path or an absolute URL. */
const isRequestUri = (text: string | undefined): boolean =>
  text !== undefined && (text.startsWith('/') || URL.canParse(text)) && /^\S+$/.test(text)

function checkProbes(probes: DataplaneSpec['probes']): Violation[] {
  if (!probes) return []
  return [
    ...checkPort('probes.port', probes.port),
    ...(probes.endpoints ?? []).flatMap(({ inboundPort, inboundPath, path }, index) => {
      const field = `probes.endpoints[${index}]`
      const reason = 'should be a valid URL Path'
      return [
        ...checkPort(`${field}.inboundPort`, inboundPort),
        ...(isRequestUri(inboundPath) ? [] : [{ field: `${field}.inboundPath`, reason }]),
        ...(isRequestUri(path) ? [] : [{ field: `${field}.path`, reason }]),
      ]
    }),
  ]
}

const checkMetrics = ({ type, conf }: NonNullable<DataplaneSpec['metrics']>): Violation[] =>
  type === 'prometheus'
    ? checkPrometheus('metrics.conf', conf ?? {})
    : [{ field: 'metrics.type', reason: unknownBackend(['prometheus']) }]

/** Listeners of zone proxies on a Dataplane. They share names and addresses with its inbounds. */
function checkListeners({ address: proxyAddress = '', inbound = [], listeners = [] }: Networking): Violation[] {
  const names = new Set(inbound.map(({ name, port }) => name || String(port ?? '')))
  const inboundPlaces = inbound.map((one) => `${one.address || proxyAddress}:${one.port}`)
  const typeByPlace = new Map<string, string | undefined>()
  return listeners.flatMap(({ type, address, port, name }, index): Violation[] => {
    const field = `networking.listeners[${index}]`
    const place = `${address ?? ''}:${port ?? 0}`
    const isNameTaken = name !== undefined && name !== '' && names.has(name)
    if (name) names.add(name)
    const isPlaceTaken = typeByPlace.has(place)
    const sharing =
      typeByPlace.get(place) === type
        ? `address:port ${place} is already used by another listener`
        : `address:port ${place} is used by listeners of different types`
    if (!isPlaceTaken) typeByPlace.set(place, type)
    return [
      ...(type === 'ZoneIngress' || type === 'ZoneEgress'
        ? []
        : [{ field: `${field}.type`, reason: 'type must be ZoneIngress or ZoneEgress' }]),
      ...checkAddress(`${field}.address`, address),
      ...checkPort(`${field}.port`, port),
      ...(isNameTaken
        ? [{ field: `${field}.name`, reason: `name "${name}" must be unique across inbounds and listeners` }]
        : []),
      ...(isPlaceTaken ? [{ field, reason: sharing }] : []),
      ...(inboundPlaces.includes(place)
        ? [{ field, reason: `address:port ${place} collides with an inbound listener` }]
        : []),
    ]
  })
}
