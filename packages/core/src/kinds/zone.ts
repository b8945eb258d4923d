import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import { firstOf } from './columns.ts'
import { defineKind, message } from './kind.ts'
import { byName } from './ranges.ts'

/** A name, or a prefix of names followed by `*`. */
const pattern = z.string().regex(/^[^*]+\*?$|^\*$/, 'expected a name, or the beginning of names followed by "*"')
export const zoneLimits = message({ meshes: z.array(pattern).optional(), services: z.array(pattern).optional() })
/** The meshes and services that a zone may announce. An omitted list allows everything. */
export type ZoneLimits = z.infer<typeof zoneLimits>

const zoneSchema = message({ enabled: z.boolean().optional(), limits: zoneLimits.optional() })
export type ZoneSpec = z.infer<typeof zoneSchema>

const covers = (allowed: string, name: string): boolean =>
  allowed.endsWith('*') ? name.startsWith(allowed.slice(0, -1)) : name === allowed

/** Why the limits forbid a mesh, or a service in it, to a zone; undefined if they allow it. */
export function outsideLimits(limits: ZoneLimits, mesh: string, service: string | undefined): string | undefined {
  const { meshes, services } = limits
  if (meshes && !meshes.some((one) => covers(one, mesh)))
    return `the Zone limits its meshes to ${meshes.join(', ') || 'none'}, found ${mesh}`
  if (service !== undefined && services && !services.some((one) => covers(one, service)))
    return `the Zone limits its services to ${services.join(', ') || 'none'}, found ${service}`
  return undefined
}

/** Whether everything that the limits allow is also allowed by the outer limits. */
export const isWithin = (limits: ZoneLimits, outer: ZoneLimits): boolean =>
  (['meshes', 'services'] as const).every((list) => {
    const allowed = outer[list]
    return !allowed || (limits[list]?.every((one) => allowed.some((other) => isNarrower(one, other))) ?? false)
  })

/** A pattern is covered by another one if its fixed part is. An exact name covers only itself. */
const isNarrower = (one: string, other: string): boolean =>
  one === other || (other.endsWith('*') && one.startsWith(other.slice(0, -1)))

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
  columns: [
    { title: 'ENABLED', cell: ({ spec }) => (isEnabled(spec) ? 'yes' : 'no') },
    { title: 'MESHES', isWide: true, cell: ({ spec }) => firstOf(spec.limits?.meshes ?? ['*']) },
    { title: 'SERVICES', isWide: true, cell: ({ spec }) => firstOf(spec.limits?.services ?? ['*']) },
  ],
  compiled: { owner: 'global', blame: 130, index: byName },
  check: (_spec, { name }) => [
    ...(name === globalOrigin
      ? [{ field: 'name', reason: `"${globalOrigin}" is the name of the global control plane` }]
      : []),
    ...(name.length > 63 ? [{ field: 'name', reason: 'cannot be longer than 63 characters' }] : []),
  ],
})
