import { arrivingLabel } from '@zonemesh/core/kinds/common.ts'
import { type DataplaneSpec, isReady } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import { canonicalJson, type JsonObject, toJson } from '@zonemesh/shared/base/base.ts'

/** The labels and the spec with which a proxy is registered. */
export interface Registration {
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
}

/**
 * The registration of a proxy while its Envoy does not listen yet: other proxies send no traffic to it. Undefined if
 * they never would. The table of the proxy itself is complete. The spec was admitted by the schema of its kind.
 */
export function withheld(kind: string, { labels, spec }: Registration): Registration | undefined {
  if (kind === 'ZoneEgress') return { spec, labels: { ...labels, [arrivingLabel]: 'yes' } }
  const part =
    kind === 'Dataplane'
      ? withoutInstances(spec as DataplaneSpec)
      : kind === 'ZoneIngress'
        ? withoutWay(spec as ZoneIngressSpec)
        : undefined
  return part && { labels, spec: part }
}

function withoutInstances({ networking, ...rest }: DataplaneSpec): JsonObject | undefined {
  const inbound = networking?.inbound ?? []
  if (!inbound.some(isReady)) return undefined
  return toJson({
    ...rest,
    networking: { ...networking, inbound: inbound.map((one) => (isReady(one) ? { ...one, state: 'NotReady' } : one)) },
  })
}

function withoutWay({ networking, ...rest }: ZoneIngressSpec): JsonObject | undefined {
  const { advertisedAddress, advertisedPort, ...own } = networking ?? {}
  return advertisedAddress || advertisedPort ? toJson({ ...rest, networking: own }) : undefined
}

const isSame = (a: Registration, b: Registration): boolean =>
  a.labels[arrivingLabel] === b.labels[arrivingLabel] && canonicalJson(a.spec) === canonicalJson(b.spec)

/**
 * Arriving proxies. A new proxy, or one that a restart of the zone left arriving, is first registered so that no other
 * proxy sends traffic to it. When its Envoy has answered its whole table, it is registered with its real spec.
 */
export function createArrivals() {
  const arriving = new Map<string, Registration>()
  return {
    /** Returns the registration to write now. `stored`: the present one. */
    begin(proxy: string, kind: string, given: Registration, stored: Registration | undefined): Registration {
      const first = withheld(kind, given)
      if (!first || (stored && !isSame(stored, first))) {
        arriving.delete(proxy)
        return given
      }
      arriving.set(proxy, given)
      return first
    },
    /** Its Envoy has answered its whole table. Returns the final registration, once. */
    arrived(proxy: string): Registration | undefined {
      const given = arriving.get(proxy)
      arriving.delete(proxy)
      return given
    },
    /** The final registration could not be written and must be tried again. */
    again: (proxy: string, registration: Registration): void => void arriving.set(proxy, registration),
    gone: (proxy: string): void => void arriving.delete(proxy),
  }
}
