import { z } from 'zod'
import { hostPort } from './columns.ts'
import { checkAddress, checkPort, checkTags, tagMap, zoneLabel } from './common.ts'
import { defineKind, message, type Violation } from './kind.ts'
import { ranges } from './ranges.ts'
import { checkAdmin, noNetworking } from './zone-proxy.ts'

const availableService = message({
  tags: tagMap.optional(),
  instances: z.number().int().optional(),
  mesh: z.string().optional(),
  externalService: z.boolean().optional(),
})

const zoneIngressSchema = message({
  zone: z.string().optional(),
  networking: message({
    address: z.string().optional(),
    port: z.number().int().optional(),
    advertisedAddress: z.string().optional(),
    advertisedPort: z.number().int().optional(),
    admin: message({ port: z.number().int().optional() }).optional(),
  }).optional(),
  availableServices: z.array(availableService).optional(),
})
export type ZoneIngressSpec = z.infer<typeof zoneIngressSchema>

function check({ networking, availableServices = [] }: ZoneIngressSpec): readonly Violation[] {
  if (!networking) return noNetworking
  const { advertisedAddress, advertisedPort, address, port } = networking
  return [
    ...checkAdmin(networking),
    ...(advertisedPort && !advertisedAddress
      ? [{ field: 'networking.advertisedAddress', reason: 'has to be defined with advertisedPort' }]
      : []),
    ...(advertisedAddress && !advertisedPort
      ? [{ field: 'networking.advertisedPort', reason: 'has to be defined with advertisedAddress' }]
      : []),
    // The doubled segment is Kuma's; clients compare paths.
    ...(address ? checkAddress('networking.address.address', address) : []),
    ...(advertisedAddress ? checkAddress('networking.advertisedAddress.address', advertisedAddress) : []),
    ...checkPort('networking.port', port),
    ...(advertisedPort ? checkPort('networking.advertisedPort', advertisedPort) : []),
    ...availableServices.flatMap(({ tags = {} }, index) =>
      checkTags(`availableService[${index}].tags`, tags, { selector: false, requireService: true }),
    ),
  ]
}

export const zoneIngress = defineKind({
  name: 'ZoneIngress',
  path: 'zoneingresses',
  pathAliases: ['zone-ingresses'],
  shortName: 'zi',
  title: { singular: 'Zone Ingress', plural: 'Zone Ingresses' },
  scope: 'global',
  travel: 'zone-relayed',
  writable: { global: false, zone: true },
  schema: zoneIngressSchema,
  columns: [
    { title: 'ADDRESS', cell: ({ spec: { networking } }) => hostPort(networking?.address, networking?.port) },
    {
      title: 'ADVERTISED',
      cell: ({ spec: { networking } }) => hostPort(networking?.advertisedAddress, networking?.advertisedPort),
    },
    { title: 'ZONE', cell: ({ spec, labels }) => spec.zone || (labels[zoneLabel] ?? '') },
    { title: 'SERVICES', isWide: true, cell: ({ spec }) => String(spec.availableServices?.length ?? 0) },
  ],
  compiled: { owner: 'zone', blame: 90, index: ({ key }) => [{ range: ranges.ingresses(key.origin) }] },
  check,
})
