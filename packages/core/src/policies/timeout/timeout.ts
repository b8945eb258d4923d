import type { z } from 'zod'
import { connectionColumns, fieldsOf } from '../../kinds/columns.ts'
import { duration, durationMs } from '../../kinds/common.ts'
import { defineKind, message, type Violation } from '../../kinds/kind.ts'
import { byMesh } from '../../kinds/ranges.ts'
import { checkOutbound, connectionPolicy, connectionShape } from '../connection.ts'
import { checkPositive, checkPositiveIfGiven } from '../positive.ts'

const timeoutSchema = message({
  ...connectionShape,
  conf: message({
    connectTimeout: duration.optional(),
    tcp: message({ idleTimeout: duration.optional() }).optional(),
    http: message({
      requestTimeout: duration.optional(),
      idleTimeout: duration.optional(),
      streamIdleTimeout: duration.optional(),
      maxStreamDuration: duration.optional(),
    }).optional(),
    grpc: message({ streamIdleTimeout: duration.optional(), maxStreamDuration: duration.optional() }).optional(),
  }).optional(),
})
export type TimeoutSpec = z.infer<typeof timeoutSchema>

const emptySection = 'at least one timeout in section has to be defined'

/**
 * Kuma's rules for a Timeout. One rule is stricter: Envoy refuses a cluster whose connect timeout is 0, which would
 * stop all traffic to the service.
 */
function checkConf(conf: TimeoutSpec['conf']): Violation[] {
  if (!conf) return [{ field: 'conf', reason: 'has to be defined' }]
  const { connectTimeout, tcp, http, grpc } = conf
  return [
    ...(connectTimeout === undefined ? [] : checkPositive('conf.connectTimeout', durationMs(connectTimeout))),
    ...(tcp === undefined
      ? []
      : tcp.idleTimeout === undefined
        ? [{ field: 'conf.tcp', reason: emptySection }]
        : checkPositive('conf.tcp.idleTimeout', durationMs(tcp.idleTimeout))),
    ...checkSection('conf.http', http && { requestTimeout: http.requestTimeout, idleTimeout: http.idleTimeout }),
    ...checkSection('conf.grpc', grpc),
  ]
}

/** A present section needs at least one of these durations, and none of them may be 0. */
function checkSection(field: string, section: Readonly<Record<string, string | undefined>> | undefined): Violation[] {
  if (!section) return []
  const given = Object.entries(section).flatMap(([name, text]) => (text === undefined ? [] : [{ name, text }]))
  if (given.length === 0) return [{ field, reason: emptySection }]
  return given.flatMap(({ name, text }) => checkPositiveIfGiven(`${field}.${name}`, durationMs(text)))
}

export const timeout = defineKind({
  ...connectionPolicy,
  name: 'Timeout',
  path: 'timeouts',
  commandName: 'to',
  schema: timeoutSchema,
  columns: [...connectionColumns, { title: 'CONF', cell: ({ spec }) => fieldsOf(spec.conf) }],
  compiled: { owner: 'global', blame: 20, index: byMesh },
  check: (spec) => [...checkOutbound(spec), ...checkConf(spec.conf)],
  unserved: (spec) => (spec.conf?.grpc ? ['conf.grpc: not served; gRPC streams follow conf.http'] : []),
})
