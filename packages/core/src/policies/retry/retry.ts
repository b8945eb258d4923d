import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import { connectionColumns, fieldsOf } from '../../kinds/columns.ts'
import { duration, durationMs, protoEnum, uint32 } from '../../kinds/common.ts'
import { defineKind, message, type Violation } from '../../kinds/kind.ts'
import { byMesh } from '../../kinds/ranges.ts'
import { checkOutbound, connectionPolicy, connectionShape } from '../connection.ts'
import { checkPositive, checkPositiveIfGiven } from '../positive.ts'

const backOff = message({ baseInterval: duration.optional(), maxInterval: duration.optional() })
const condition = z.string().transform((text) => text.toLowerCase().replaceAll('-', '_'))

/** The conditions of Kuma's enums. Envoy's names have dashes instead of underscores, and `5xx` for `all_5xx`. */
export const httpRetryOn = [
  'all_5xx',
  'gateway_error',
  'reset',
  'connect_failure',
  'envoy_ratelimited',
  'retriable_4xx',
  'refused_stream',
  'retriable_status_codes',
  'http3_post_connect_failure',
] as const
export const grpcRetryOn = ['cancelled', 'deadline_exceeded', 'internal', 'resource_exhausted', 'unavailable'] as const

const httpMethods = ['NONE', 'CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'] as const

const retrySchema = message({
  ...connectionShape,
  conf: message({
    http: message({
      numRetries: uint32.optional(),
      perTryTimeout: duration.optional(),
      backOff: backOff.optional(),
      retriableStatusCodes: z.array(uint32).optional(),
      retriableMethods: z.array(protoEnum(httpMethods)).optional(),
      retryOn: z.array(condition).optional(),
    }).optional(),
    tcp: message({ maxConnectAttempts: uint32.optional() }).optional(),
    grpc: message({
      retryOn: z.array(condition).optional(),
      numRetries: uint32.optional(),
      perTryTimeout: duration.optional(),
      backOff: backOff.optional(),
    }).optional(),
  }).optional(),
})
export type RetrySpec = z.infer<typeof retrySchema>

function checkConditions(field: string, given: readonly string[] | undefined, known: readonly string[]): Violation[] {
  return (given ?? []).flatMap((one, index) =>
    known.includes(one) ? [] : [{ field: `${field}[${index}]`, reason: `unknown condition "${one}"`, choices: known }],
  )
}

type RetryConf = NonNullable<RetrySpec['conf']>
type BackOff = NonNullable<RetryConf['http']>['backOff']

/** Kuma's rules for a Retry, in its order. */
function checkConf(conf: RetrySpec['conf']): Violation[] {
  if (!conf) return [{ field: 'conf', reason: 'has to be defined' }]
  const { http, grpc, tcp } = conf
  if (!http && !grpc && !tcp) return [{ field: 'conf', reason: 'missing protocol [grpc|http|tcp] configuration' }]
  return [
    ...(http ? checkHttp('conf.http', http) : []),
    ...(grpc ? checkGrpc('conf.grpc', grpc) : []),
    ...(tcp ? checkPositive('conf.tcp.maxConnectAttempts', tcp.maxConnectAttempts ?? 0) : []),
  ]
}

const isEmpty = (section: object): boolean => Object.values(section).every((value) => value === undefined)
const cannotBeEmpty = 'field cannot be empty'

function checkHttp(field: string, conf: NonNullable<RetryConf['http']>): Violation[] {
  return [
    ...(isEmpty(conf) ? [{ field, reason: cannotBeEmpty }] : []),
    ...checkAttempts(field, conf),
    ...(conf.retriableMethods ?? []).flatMap((method, index) =>
      method === 'NONE' ? [{ field: `${field}.retriableMethods[${index}]`, reason: cannotBeEmpty }] : [],
    ),
    ...checkConditions(`${field}.retryOn`, conf.retryOn, httpRetryOn),
    ...(conf.retryOn ?? []).flatMap((condition, index) =>
      condition === 'retriable_status_codes' && !conf.retriableStatusCodes
        ? [
            {
              field: `${field}.retryOn[${index}]`,
              reason: 'retriableStatusCodes cannot be empty when this option is specified',
            },
          ]
        : [],
    ),
  ]
}

function checkGrpc(field: string, conf: NonNullable<RetryConf['grpc']>): Violation[] {
  return [
    ...(isEmpty(conf) ? [{ field, reason: cannotBeEmpty }] : []),
    ...checkRepeated(`${field}.retryOn`, conf.retryOn ?? []),
    ...checkAttempts(field, conf),
    ...checkConditions(`${field}.retryOn`, conf.retryOn, grpcRetryOn),
  ]
}

function checkAttempts(
  field: string,
  {
    numRetries,
    perTryTimeout,
    backOff,
  }: Pick<NonNullable<RetryConf['http']>, 'numRetries' | 'perTryTimeout' | 'backOff'>,
): Violation[] {
  return [
    ...checkPositiveIfGiven(`${field}.numRetries`, numRetries),
    ...(perTryTimeout === undefined ? [] : checkPositiveIfGiven(`${field}.perTryTimeout`, durationMs(perTryTimeout))),
    ...checkBackOff(`${field}.backOff`, backOff),
  ]
}

/** Stricter than Kuma in one rule: Envoy refuses a route whose maximum interval is below its base interval. */
function checkBackOff(field: string, backOff: BackOff): Violation[] {
  if (!backOff) return []
  const { baseInterval, maxInterval } = backOff
  if (baseInterval === undefined) return [{ field: `${field}.baseInterval`, reason: 'has to be defined' }]
  const [baseMs = 0, maxMs] = [
    durationMs(baseInterval),
    maxInterval === undefined ? undefined : durationMs(maxInterval),
  ]
  if (baseMs === 0) return checkPositive(`${field}.baseInterval`, 0)
  if (maxMs !== undefined && maxMs > 0 && maxMs < baseMs)
    return [{ field: `${field}.maxInterval`, reason: 'has to be greater than or equal to baseInterval' }]
  return checkPositiveIfGiven(`${field}.maxInterval`, maxMs)
}

function checkRepeated(field: string, values: readonly string[]): Violation[] {
  const indexes = new Map<string, number[]>()
  values.forEach((value, index) => indexes.set(value, [...(indexes.get(value) ?? []), index]))
  return [...indexes]
    .filter(([, at]) => at.length > 1)
    .map(([value, at]) => ({ field, reason: `repeated value "${value}" at indexes [${at.join(', ')}]` }))
    .sort((a, b) => byCodeUnit(a.reason, b.reason))
}

export const retry = defineKind({
  ...connectionPolicy,
  name: 'Retry',
  path: 'retries',
  commandName: 're',
  schema: retrySchema,
  columns: [...connectionColumns, { title: 'CONF', cell: ({ spec }) => fieldsOf(spec.conf) }],
  compiled: { owner: 'global', blame: 30, index: byMesh },
  check: (spec) => [...checkOutbound(spec), ...checkConf(spec.conf)],
})
