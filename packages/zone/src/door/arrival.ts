import { type DataplaneSpec, isReady } from '@zonemesh/core/kinds/dataplane.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import { canonicalJson, type JsonObject } from '@zonemesh/shared/base/base.ts'

/** What a proxy registers as. */
export interface Registration {
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
}

/**
 * The spec of a proxy whose Envoy does not listen yet, so that nobody is led to it; undefined where nobody would be. The
 * proxy itself gets all that it is to have. `spec` was admitted as one of its kind.
 */
export function withheld(kind: string, spec: JsonObject): JsonObject | undefined {
  if (kind === 'Dataplane') return withoutInstances(spec as DataplaneSpec)
  if (kind === 'ZoneIngress') return withoutWay(spec as ZoneIngressSpec)
  return undefined
}

function withoutInstances({ networking, ...rest }: DataplaneSpec): JsonObject | undefined {
  const inbound = networking?.inbound ?? []
  if (!inbound.some(isReady)) return undefined
  return json({
    ...rest,
    networking: { ...networking, inbound: inbound.map((one) => (isReady(one) ? { ...one, state: 'NotReady' } : one)) },
  })
}

function withoutWay({ networking, ...rest }: ZoneIngressSpec): JsonObject | undefined {
  const { advertisedAddress, advertisedPort, ...own } = networking ?? {}
  return advertisedAddress || advertisedPort ? json({ ...rest, networking: own }) : undefined
}

/** Fields that are not there are not in JSON. */
const json = (spec: object): JsonObject => JSON.parse(JSON.stringify(spec))

/**
 * Proxies on their way in. One that is new, or was left on its way by a zone that ended, is registered as one that nobody is led to;
 * when its Envoy has answered all that it got, as what it is.
 */
export function createArrivals() {
  const arriving = new Map<string, Registration>()
  return {
    /** What is to be registered now. `stored`: what is registered. */
    begin(proxy: string, kind: string, given: Registration, stored: JsonObject | undefined): Registration {
      const first = withheld(kind, given.spec)
      if (!first || (stored && canonicalJson(stored) !== canonicalJson(first))) {
        arriving.delete(proxy)
        return given
      }
      arriving.set(proxy, given)
      return { ...given, spec: first }
    },
    /** Its Envoy has answered everything: what it is to be registered as from now on, once. */
    arrived(proxy: string): Registration | undefined {
      const given = arriving.get(proxy)
      arriving.delete(proxy)
      return given
    },
    /** That could not be written. */
    again: (proxy: string, registration: Registration): void => void arriving.set(proxy, registration),
    gone: (proxy: string): void => void arriving.delete(proxy),
  }
}
