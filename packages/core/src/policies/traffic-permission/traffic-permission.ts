import type { z } from 'zod'
import { serviceTag } from '../../kinds/common.ts'
import { defineKind, message } from '../../kinds/kind.ts'
import { ranges } from '../../kinds/ranges.ts'
import { checkInbound, connectionPolicy, connectionShape } from '../connection.ts'

const trafficPermissionSchema = message({ ...connectionShape })
export type TrafficPermissionSpec = z.infer<typeof trafficPermissionSchema>

export const trafficPermission = defineKind({
  ...connectionPolicy,
  name: 'TrafficPermission',
  path: 'traffic-permissions',
  commandName: 'tp',
  schema: trafficPermissionSchema,
  compiled: {
    owner: 'global',
    blame: 40,
    index: ({ key, spec }) =>
      spec.destinations.map(({ match }) => ({ range: ranges.permitting(key.mesh, match?.[serviceTag] ?? '*') })),
  },
  check: checkInbound,
})
