import { dataplane } from './dataplane.ts'
import { dataplaneRole } from './dataplane-spec.ts'

/** What the label `kuma.io/proxy-type` says of a row that a proxy stands behind; undefined of other kinds. */
export function proxyTypeOf(kind: string, spec: unknown): string | undefined {
  if (kind !== dataplane.name) return zoneProxyTypes.get(kind)
  const parsed = dataplane.peerSchema.safeParse(spec)
  return parsed.success && dataplaneRole(parsed.data) === 'builtin' ? 'gateway' : 'sidecar'
}

const zoneProxyTypes: ReadonlyMap<string, string> = new Map([
  ['ZoneIngress', 'zoneingress'],
  ['ZoneEgress', 'zoneegress'],
])

/** Kinds of which each row is a proxy of its zone. */
export const proxyKinds: ReadonlySet<string> = new Set(['Dataplane', ...zoneProxyTypes.keys()])
/** Those that serve a zone as a whole. */
export const isZoneProxy = (kind: string): boolean => zoneProxyTypes.has(kind)
