import { z } from 'zod'
import { hostPort } from './columns.ts'
import { zoneLabel } from './common.ts'
import { defineKind, message } from './kind.ts'
import { ranges } from './ranges.ts'
import { checkAdmin, checkListens, noNetworking } from './zone-proxy.ts'

const zoneEgressSchema = message({
  zone: z.string().optional(),
  networking: message({
    address: z.string().optional(),
    port: z.number().int().optional(),
    admin: message({ port: z.number().int().optional() }).optional(),
  }).optional(),
})
export type ZoneEgressSpec = z.infer<typeof zoneEgressSchema>

export const zoneEgress = defineKind({
  name: 'ZoneEgress',
  path: 'zoneegresses',
  pathAliases: ['zone-egresses'],
  shortName: 'ze',
  title: { singular: 'Zone Egress', plural: 'Zone Egresses' },
  scope: 'global',
  travel: 'zone-to-global',
  writable: { global: false, zone: true },
  schema: zoneEgressSchema,
  columns: [
    { title: 'ADDRESS', cell: ({ spec: { networking } }) => hostPort(networking?.address, networking?.port) },
    { title: 'ZONE', cell: ({ spec, labels }) => spec.zone || (labels[zoneLabel] ?? '') },
  ],
  compiled: {
    owner: 'zone',
    blame: 100,
    index: ({ key }, zone) => (key.origin === zone ? [{ range: ranges.egresses }] : []),
  },
  check: ({ networking }) => (networking ? [...checkAdmin(networking), ...checkListens(networking)] : noNetworking),
})
