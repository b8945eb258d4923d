import type { z } from 'zod'
import { duration } from '../../kinds/common.ts'
import { defineKind, message } from '../../kinds/kind.ts'
import { byMesh } from '../../kinds/ranges.ts'
import { checkConnection, connectionPolicy, connectionShape } from '../connection.ts'

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

export const timeout = defineKind({
  ...connectionPolicy,
  name: 'Timeout',
  path: 'timeouts',
  commandName: 'to',
  schema: timeoutSchema,
  compiled: { owner: 'global', blame: 20, index: byMesh },
  check: (spec) => [...checkConnection(spec), ...(spec.conf ? [] : [{ field: 'conf', reason: 'cannot be empty' }])],
  unserved: (spec) => (spec.conf?.grpc ? ['conf.grpc: not served; gRPC streams follow conf.http'] : []),
})
