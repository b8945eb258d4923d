import { z } from 'zod'
import { duration } from '../../kinds/common.ts'
import { defineKind, message, type Violation } from '../../kinds/kind.ts'
import { byMesh } from '../../kinds/ranges.ts'
import { checkConnection, connectionPolicy, connectionShape } from '../connection.ts'

const backOff = message({ baseInterval: duration.optional(), maxInterval: duration.optional() })
const condition = z.string().transform((text) => text.toLowerCase().replaceAll('-', '_'))

/** The conditions of Kuma's enums; Envoy's names have dashes instead of underscores, and `5xx` for `all_5xx`. */
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

const retrySchema = message({
  ...connectionShape,
  conf: message({
    http: message({
      numRetries: z.number().int().nonnegative().optional(),
      perTryTimeout: duration.optional(),
      backOff: backOff.optional(),
      retriableStatusCodes: z.array(z.number().int()).optional(),
      retriableMethods: z.array(z.string()).optional(),
      retryOn: z.array(condition).optional(),
    }).optional(),
    tcp: message({ maxConnectAttempts: z.number().int().nonnegative().optional() }).optional(),
    grpc: message({
      retryOn: z.array(condition).optional(),
      numRetries: z.number().int().nonnegative().optional(),
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

export const retry = defineKind({
  ...connectionPolicy,
  name: 'Retry',
  path: 'retries',
  commandName: 're',
  schema: retrySchema,
  compiled: { owner: 'global', blame: 30, index: byMesh },
  check: (spec) => [
    ...checkConnection(spec),
    ...(spec.conf?.http || spec.conf?.tcp || spec.conf?.grpc
      ? []
      : [{ field: 'conf', reason: 'missing protocol specific configuration' }]),
    ...checkConditions('conf.http.retryOn', spec.conf?.http?.retryOn, httpRetryOn),
    ...checkConditions('conf.grpc.retryOn', spec.conf?.grpc?.retryOn, grpcRetryOn),
  ],
})
