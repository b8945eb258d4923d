import { z } from 'zod'
import { checkAddress, portInRange, portReason, tagMap } from './common.ts'
import { defineKind, message, type Violation } from './kind.ts'

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

function check({ networking }: ZoneIngressSpec): Violation[] {
  if (!networking) return [{ field: 'networking', reason: 'must be defined' }]
  const { address, port, advertisedAddress, advertisedPort, admin } = networking
  const violations: Violation[] = []
  // The doubled segment is Kuma's; clients compare it.
  if (address !== undefined) violations.push(...checkAddress('networking.address.address', address))
  if (!portInRange(port)) violations.push({ field: 'networking.port', reason: portReason })
  if (advertisedPort !== undefined && !portInRange(advertisedPort))
    violations.push({ field: 'networking.advertisedPort', reason: portReason })
  if (advertisedPort && !advertisedAddress) {
    violations.push({ field: 'networking.advertisedAddress', reason: 'has to be defined with advertisedPort' })
  }
  if (advertisedAddress && !advertisedPort) {
    violations.push({ field: 'networking.advertisedPort', reason: 'has to be defined with advertisedAddress' })
  }
  if (advertisedAddress) violations.push(...checkAddress('networking.advertisedAddress.address', advertisedAddress))
  if (admin?.port && admin.port === port)
    violations.push({ field: 'networking.admin.port', reason: 'must differ from port' })
  return violations
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
  check,
})
