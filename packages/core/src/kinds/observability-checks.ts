import { checkPort } from './common.ts'
import type { Violation } from './kind.ts'
import type { MeshSpec } from './mesh-spec.ts'
import { regexFault } from './regex.ts'

/** Kuma's rules for the logging, tracing and metrics backends of a mesh, in its order. */

type Conf = Readonly<Record<string, unknown>>

export const unknownBackend = (known: readonly string[]): string =>
  `unknown backend type. Available backends: ${known.map((one) => `"${one}"`).join(', ')}`

interface Named {
  readonly name?: string | undefined
}

/** A violation if an earlier backend has the same name. */
const checkUnique = (field: string, backends: readonly Named[], index: number): Violation[] => {
  const name = backends[index]?.name ?? ''
  return backends.findIndex((other) => (other.name ?? '') === name) < index
    ? [{ field: `${field}[${index}].name`, reason: `"${name}" name is already used for another backend` }]
    : []
}

function checkDefault(
  field: string,
  name: string | undefined,
  backends: readonly Named[],
  reason: string,
): Violation[] {
  return !name || backends.some((backend) => backend.name === name) ? [] : [{ field, reason }]
}

const checkName = (field: string, name: string | undefined): Violation[] =>
  name ? [] : [{ field: `${field}.name`, reason: 'cannot be empty' }]

export function checkLogging({ backends = [], defaultBackend }: NonNullable<MeshSpec['logging']>): Violation[] {
  return [
    ...backends.flatMap(({ name, type, conf = {} }, index) => {
      const field = `logging.backends[${index}]`
      return [
        ...checkName(field, name),
        ...(type === 'file'
          ? conf['path']
            ? []
            : [{ field: `${field}.config.path`, reason: 'cannot be empty' }]
          : type === 'tcp'
            ? checkHostPort(`${field}.config.address`, conf['address'])
            : [{ field: `${field}.type`, reason: unknownBackend(['tcp', 'file']) }]),
        ...checkUnique('logging.backends', backends, index),
      ]
    }),
    ...checkDefault(
      'logging.defaultBackend',
      defaultBackend,
      backends,
      'has to be set to one of the logging backend in mesh',
    ),
  ]
}

function checkHostPort(field: string, address: unknown): Violation[] {
  if (address === undefined || address === null || address === '') return [{ field, reason: 'cannot be empty' }]
  const isHostPort = typeof address === 'string' && /^([^:[\]]+|\[[^\]]+\]):[^:]+$/.test(address)
  return isHostPort ? [] : [{ field, reason: 'has to be in format of HOST:PORT' }]
}

export function checkTracing({ backends = [], defaultBackend }: NonNullable<MeshSpec['tracing']>): Violation[] {
  return [
    ...backends.flatMap(({ name, type, sampling = 100, conf = {} }, index) => {
      const field = `tracing.backends[${index}]`
      return [
        ...checkName(field, name),
        ...(sampling < 0 || sampling > 100
          ? [{ field: `${field}.sampling`, reason: 'has to be in [0.0 - 100.0] range' }]
          : []),
        ...(type === 'zipkin'
          ? checkZipkin(`${field}.config`, conf)
          : type === 'datadog'
            ? checkDatadog(`${field}.config`, conf)
            : [{ field: `${field}.type`, reason: unknownBackend(['zipkin', 'datadog']) }]),
        ...checkUnique('tracing.backends', backends, index),
      ]
    }),
    ...checkDefault(
      'tracing.defaultBackend',
      defaultBackend,
      backends,
      'has to be set to one of the tracing backend in mesh',
    ),
  ]
}

const zipkinVersions = ['httpJsonV1', 'httpJson', 'httpProto']

function checkZipkin(field: string, { apiVersion = '', url = '' }: Conf): Violation[] {
  const version =
    apiVersion === '' || zipkinVersions.some((known) => known === apiVersion)
      ? []
      : [{ field: `${field}.apiVersion`, reason: `has invalid value. Allowed values: ${zipkinVersions.join(', ')}` }]
  if (url === '') return [...version, { field: `${field}.url`, reason: 'cannot be empty' }]
  const [, authority] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#\s]+)/i.exec(String(url)) ?? []
  if (authority === undefined || !URL.canParse(String(url)))
    return [...version, { field: `${field}.url`, reason: 'invalid URL' }]
  return /:\d+$/.test(authority)
    ? version
    : [...version, { field: `${field}.url`, reason: 'port has to be explicitly specified' }]
}

function checkDatadog(field: string, { address = '', port }: Conf): Violation[] {
  return [
    ...(address === '' ? [{ field: `${field}.address`, reason: 'cannot be empty' }] : []),
    ...checkPort(`${field}.port`, typeof port === 'number' ? port : undefined),
  ]
}

export function checkMetrics({ backends = [], enabledBackend }: NonNullable<MeshSpec['metrics']>): Violation[] {
  return [
    ...backends.flatMap(({ type, conf = {} }, index) => {
      const field = `metrics.backends[${index}]`
      return [
        ...checkUnique('metrics.backends', backends, index),
        ...(type === 'prometheus'
          ? checkPrometheus(`${field}.conf`, conf)
          : [{ field: `${field}.type`, reason: unknownBackend(['prometheus']) }]),
      ]
    }),
    ...checkDefault(
      'metrics.enabledBackend',
      enabledBackend,
      backends,
      'has to be set to one of the backends in the mesh',
    ),
  ]
}

const member = (value: unknown, name: string): unknown =>
  value !== null && typeof value === 'object' ? Reflect.get(value, name) : undefined

/** The metrics section of a Dataplane has the same rules. */
export function checkPrometheus(field: string, conf: Conf): Violation[] {
  const { skipMTLS, tls, envoy, aggregate } = conf
  const mode = member(tls, 'mode') ?? 'activeMTLSBackend'
  const agree = skipMTLS === true ? mode === 'disabled' : mode === 'activeMTLSBackend'
  if (skipMTLS !== undefined && tls !== undefined && !agree)
    return [{ field, reason: 'skipMTLS and tls configuration cannot be defined together' }]
  const filter = member(envoy, 'filterRegex')
  const fault = typeof filter === 'string' && filter !== '' ? regexFault(filter) : undefined
  if (fault !== undefined)
    return [{ field: `${field}.envoy.filterRegex`, reason: `provided regexp isn't correct: ${fault}` }]
  const names = Array.isArray(aggregate) ? aggregate.map((one) => String(member(one, 'name') ?? '')) : []
  return names.flatMap((name, index) =>
    names.indexOf(name) < index
      ? [{ field: `${field}.aggregate[${index}].name`, reason: `duplicate entry: ${name}, values have to be unique` }]
      : [],
  )
}
