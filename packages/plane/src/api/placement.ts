import { networkInterfaces } from 'node:os'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { Kind, Violation } from '@zonemesh/core/kinds/kind.ts'
import { isZoneProxy } from '@zonemesh/core/kinds/proxies.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { isLoopback } from './identity.ts'

/** The addresses and ports of a plane, as far as they decide which proxies may register. */
export interface Placement {
  /**
   * The plane listens on a loopback address only, so everything runs on this machine and proxies may use loopback
   * too.
   */
  readonly isLoopbackOnly: boolean
  /** The known ports of the plane. A port that is assigned at the start is added when it is open. */
  ports(): ReadonlySet<number>
}

const loopbackReason = (address: string): string =>
  `must not be a loopback address, found "${address}": no other machine can reach it, and on this machine it reaches any service that listens there; ` +
  'start the control plane with --host 127.0.0.1 if everything runs on one machine'

/** Whether an address belongs to this machine. Names count as remote: Envoy resolves them later. */
function isHere(address: string): boolean {
  if (isLoopback(address)) return true
  return Object.values(networkInterfaces()).some((list) => list?.some((local) => local.address === address))
}

/**
 * The violations of a proxy whose addresses or ports conflict with those of the plane. A request that a gateway sends
 * to the plane's machine looks like a local request there, so no endpoint may be a port of the plane.
 */
export function placementFaults(kind: Kind, spec: JsonObject, { isLoopbackOnly, ports }: Placement): Violation[] {
  if (kind.name !== 'Dataplane' && !isZoneProxy(kind.name)) return []
  // The spec was admitted by the schema of its kind. Zone proxies have these fields of a Dataplane too.
  const { networking = {} } = spec as DataplaneSpec & Pick<ZoneIngressSpec, 'networking'>
  const { address = '', advertisedAddress = '', inbound: inbounds = [] } = networking
  const faults: Violation[] = []
  const checkAddress = (field: string, found: string) => {
    if (!isLoopbackOnly && isLoopback(found)) faults.push({ field, reason: loopbackReason(found) })
  }
  checkAddress('networking.address', address)
  checkAddress('networking.advertisedAddress', advertisedAddress)
  const own = ports()
  for (const [index, inbound] of inbounds.entries()) {
    const field = `networking.inbound[${index}]`
    const at = inbound.address ?? address
    checkAddress(`${field}.address`, inbound.address ?? '')
    const listenPort = inbound.port ?? 0
    const servicePort = inbound.servicePort || listenPort
    const service = inbound.serviceAddress ?? '127.0.0.1'
    // A service on a loopback address is on the machine of its proxy.
    const isServedHere = isLoopback(service) ? isHere(at) : isHere(service)
    const reason = 'must not be a port of the control plane on the same machine'
    if (isHere(at) && own.has(listenPort)) faults.push({ field: `${field}.port`, reason })
    if (isServedHere && own.has(servicePort)) faults.push({ field: `${field}.servicePort`, reason })
  }
  return faults
}

/** Creates the placement from the settings of a plane. Ports that the system assigns are added when they are open. */
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
