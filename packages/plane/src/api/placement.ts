import { networkInterfaces } from 'node:os'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { Kind, Violation } from '@zonemesh/core/kinds/kind.ts'
import { isZoneProxy } from '@zonemesh/core/kinds/proxies.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { isLoopback } from './identity.ts'

/** Where a plane listens, as far as it decides which proxies may register. */
export interface Placement {
  /** Everything runs on this machine: the plane listens on a loopback address, and so may proxies. */
  readonly isLoopbackOnly: boolean
  /** The ports of the plane that are known by now. */
  ports(): ReadonlySet<number>
}

const loopbackReason = (address: string): string =>
  `must not be a loopback address, found "${address}": no other machine reaches it, and on this one it leads to whatever listens there; ` +
  'start the control plane with --host 127.0.0.1 if everything runs on one machine'

/** True of an address of this machine. A name is resolved by Envoy, so it is not looked at here. */
function isHere(address: string): boolean {
  if (isLoopback(address)) return true
  return Object.values(networkInterfaces()).some((list) => list?.some((one) => one.address === address))
}

/**
 * What a plane refuses of a proxy because of where both are. A request that a gateway carries to an address of the plane's own
 * machine arrives there as one of this machine, so no endpoint may be a port of the plane.
 */
export function placementFaults(kind: Kind, spec: JsonObject, { isLoopbackOnly, ports }: Placement): Violation[] {
  if (kind.name !== 'Dataplane' && !isZoneProxy(kind.name)) return []
  // The kind says what its spec is; zone proxies have these fields of a Dataplane, too.
  const { networking = {} } = spec as DataplaneSpec & Pick<ZoneIngressSpec, 'networking'>
  const { address = '', advertisedAddress = '', inbound: inbounds = [] } = networking
  const faults: Violation[] = []
  const checkAddress = (field: string, found: string) => {
    if (!isLoopbackOnly && isLoopback(found)) faults.push({ field, reason: loopbackReason(found) })
  }
  checkAddress('networking.address', address)
  checkAddress('networking.advertisedAddress', advertisedAddress)
  const own = ports()
  for (const [index, one] of inbounds.entries()) {
    const field = `networking.inbound[${index}]`
    const at = one.address ?? address
    checkAddress(`${field}.address`, one.address ?? '')
    const listens = one.port ?? 0
    const serves = one.servicePort || listens
    const service = one.serviceAddress ?? '127.0.0.1'
    // A service on a loopback address is on the machine of its proxy.
    const isServedHere = isLoopback(service) ? isHere(at) : isHere(service)
    const reason = 'must not be a port of the control plane on the same machine'
    if (isHere(at) && own.has(listens)) faults.push({ field: `${field}.port`, reason })
    if (isServedHere && own.has(serves)) faults.push({ field: `${field}.servicePort`, reason })
  }
  return faults
}

/** The ports in the settings of a plane; those that it draws are added when they are open. */
export function createPlacement(host: string, configured: readonly number[]) {
  const ports = new Set(configured.filter((port) => port !== 0))
  return {
    isLoopbackOnly: isLoopback(host),
    ports: () => ports,
    opened(...more: readonly (number | undefined)[]): void {
      for (const port of more) if (port !== undefined) ports.add(port)
    },
  }
}
