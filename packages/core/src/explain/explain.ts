import { type CompiledZone, compileZone } from './compiled-zone.ts'
import { findProxy, fromOutside, isBuiltin } from './gateway.ts'
import { call } from './names.ts'
import { goOn, throughGateway } from './onward.ts'
import { asReceived, type Request } from './request.ts'
import type { Explanation, Sources } from './sources.ts'
import { createWalk, Stop, stop, type Walk } from './walk.ts'

/**
 * Follows a request from a gateway or sidecar to the service that answers it, by the data of each plane. Stops at the
 * first mismatch. It performs no requests: `sources` holds all data.
 */
export function explain(
  request: Request,
  from: { readonly zone: string; readonly gateway: string },
  sources: Sources,
): Explanation {
  const walk = createWalk(sources)
  try {
    follow(walk, request, from, sources)
    return { steps: walk.steps, mismatch: undefined }
  } catch (thrown) {
    if (thrown instanceof Stop) return { steps: walk.steps, mismatch: thrown.mismatch }
    throw thrown
  }
}

function follow(
  walk: Walk,
  request: Request,
  from: { readonly zone: string; readonly gateway: string },
  sources: Sources,
): void {
  const sight = sources.zones.get(from.zone)
  if (!sight)
    stop(
      'gateway',
      `zone ${from.zone} does not exist, or it gave no answer`,
      `correct --from, or give the API of the zone with --zone ${from.zone}=URL; zones that answered: ${[...sources.zones.keys()].sort().join(', ') || 'none'}`,
    )
  const compiled = new Map<string, CompiledZone>()
  const zoneOf = (name: string): CompiledZone | undefined => {
    const found =
      compiled.get(name) ?? (sources.zones.get(name) && compileZone(sources.zones.get(name) ?? sight, sources))
    if (found) compiled.set(name, found)
    return found
  }
  const zone = zoneOf(from.zone) ?? compileZone(sight, sources)
  const proxy = findProxy(zone, from.gateway)
  const journey = { walk, sources, zoneOf, passed: new Set<string>() }
  if (isBuiltin(proxy)) {
    const atServer = asReceived(request)
    fromOutside(walk, zone, proxy, atServer)
    throughGateway(journey, zone, proxy, atServer)
  } else goOn(journey, { zone, proxy }, asReceived(request), call(walk, zone, proxy, request))
}
