import type { z } from 'zod'
import { defineKind, message } from '../../kinds/kind.ts'
import { checkConnection, connectionPolicy, connectionShape } from '../connection.ts'

const trafficPermissionSchema = message({ ...connectionShape })
export type TrafficPermissionSpec = z.infer<typeof trafficPermissionSchema>

export const trafficPermission = defineKind({
  ...connectionPolicy,
  name: 'TrafficPermission',
  path: 'traffic-permissions',
  shortName: 'tp',
  schema: trafficPermissionSchema,
  check: checkConnection,
})
