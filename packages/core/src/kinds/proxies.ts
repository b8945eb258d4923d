import { dataplane } from './dataplane.ts'
import { dataplaneRole } from './dataplane-spec.ts'

/** The value of the label `kuma.io/proxy-type` for the row of a proxy; undefined for other kinds. */
export function proxyTypeOf(kind: string, spec: unknown): string | undefined {
  if (kind !== dataplane.name) return zoneProxyTypes.get(kind)
  const parsed = dataplane.peerSchema.safeParse(spec)
  return parsed.success && dataplaneRole(parsed.data) === 'builtin' ? 'gateway' : 'sidecar'
}

const zoneProxyTypes: ReadonlyMap<string, string> = new Map([
  ['ZoneIngress', 'zoneingress'],
  ['ZoneEgress', 'zoneegress'],
])

/** The kinds whose rows each represent a proxy of their zone. */
export const proxyKinds: ReadonlySet<string> = new Set(['Dataplane', ...zoneProxyTypes.keys()])
/** Whether a kind is a proxy for a zone as a whole. */
export const isZoneProxy = (kind: string): boolean => zoneProxyTypes.has(kind)
