import { durationMs } from '../../kinds/common.ts'
import { expectCount } from '../../kinds/expect.ts'
import type { RetrySpec } from './retry.ts'

/** When and how often a request is retried. Undefined values are left to Envoy. */
export interface HttpRetries {
  readonly retryOn: readonly string[]
  readonly retries: number | undefined
  readonly perTryMs: number | undefined
  readonly backOff: { readonly baseMs: number; readonly maxMs: number | undefined } | undefined
  readonly statusCodes: readonly number[]
  readonly methods: readonly string[]
}

export interface Retries {
  readonly http: HttpRetries | undefined
  readonly grpc: HttpRetries | undefined
  readonly tcpAttempts: number | undefined
}

const httpConditions = ['gateway-error', 'connect-failure', 'refused-stream']
const grpcConditions = [
  'cancelled',
  'connect-failure',
  'gateway-error',
  'refused-stream',
  'reset',
  'resource-exhausted',
  'unavailable',
]

const plain = { retries: 5, perTryMs: 16_000, backOff: { baseMs: 25, maxMs: 250 }, statusCodes: [], methods: [] }

/** Kuma's defaults for a mesh without policies. */
export const defaultRetries: Retries = {
  http: { ...plain, retryOn: httpConditions },
  grpc: { ...plain, retryOn: grpcConditions },
  tcpAttempts: 5,
}

/** `all_5xx` → `5xx`, `connect_failure` → `connect-failure`: from Kuma's names to Envoy's. */
const envoyName = (condition: string): string => (condition === 'all_5xx' ? '5xx' : condition.replaceAll('_', '-'))

type HttpConf = NonNullable<NonNullable<RetrySpec['conf']>['http']>

const count = (field: string, value: number | undefined): number | undefined =>
  value === undefined ? undefined : expectCount(field, value)

const milliseconds = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : durationMs(text)

function backOffOf(conf: HttpConf): HttpRetries['backOff'] {
  const baseMs = milliseconds(conf.backOff?.baseInterval)
  // Envoy refuses an interval of 0, so the shortest possible interval replaces it.
  return baseMs === undefined
    ? undefined
    : { baseMs: Math.max(1, baseMs), maxMs: milliseconds(conf.backOff?.maxInterval) }
}

function httpOf(conf: HttpConf, defaults: readonly string[]): HttpRetries {
  const retryOn = conf.retryOn?.length ? conf.retryOn.map(envoyName) : [...defaults]
  const statusCodes = (conf.retriableStatusCodes ?? []).map((code) => expectCount('retriableStatusCodes', code))
  if (statusCodes.length > 0 && !retryOn.includes('retriable-status-codes')) retryOn.push('retriable-status-codes')
  return {
    retryOn,
    retries: count('numRetries', conf.numRetries),
    perTryMs: milliseconds(conf.perTryTimeout),
    backOff: backOffOf(conf),
    statusCodes,
    methods: conf.retriableMethods ?? [],
  }
}

/** The retries of a policy, or the defaults without a policy. A protocol that the policy omits is not retried. */
export function mergeRetries(spec: RetrySpec | undefined): Retries {
  if (!spec) return defaultRetries
  const { http, grpc, tcp } = spec.conf ?? {}
  return {
    http: http && httpOf(http, httpConditions),
    grpc: grpc && httpOf(grpc, grpcConditions),
    tcpAttempts: count('maxConnectAttempts', tcp?.maxConnectAttempts),
  }
}
