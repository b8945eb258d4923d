import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import { defineKind, message } from './kind.ts'
import { byName } from './ranges.ts'

const zoneSchema = message({ enabled: z.boolean().optional() })
export type ZoneSpec = z.infer<typeof zoneSchema>

/** An existing Zone is enabled unless its spec disables it. A zone without a Zone row is not enabled. */
export const isEnabled = ({ enabled }: ZoneSpec): boolean => enabled !== false

export const zone = defineKind({
  name: 'Zone',
  path: 'zones',
  shortName: 'z',
  scope: 'global',
  travel: 'global-to-zones',
  writable: { global: true, zone: false },
  fixedName: true,
  schema: zoneSchema,
  compiled: { owner: 'global', blame: 130, index: byName },
  check: (_spec, { name }) => [
    ...(name === globalOrigin
      ? [{ field: 'name', reason: `"${globalOrigin}" is the name of the global control plane` }]
      : []),
    ...(name.length > 63 ? [{ field: 'name', reason: 'cannot be longer than 63 characters' }] : []),
  ],
})
