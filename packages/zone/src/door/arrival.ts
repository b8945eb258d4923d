import { arrivingLabel } from '@zonemesh/core/kinds/common.ts'
import { type DataplaneSpec, isReady } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import { canonicalJson, type JsonObject } from '@zonemesh/shared/base/base.ts'

/** What a proxy registers as. */
export interface Registration {
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
}

/**
 * What a proxy registers as while its Envoy does not listen, so that nobody is led to it; undefined where nobody would be. The
 * proxy itself gets all that it is to have. The spec was admitted as one of its kind.
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
  return json({
    ...rest,
    networking: { ...networking, inbound: inbound.map((one) => (isReady(one) ? { ...one, state: 'NotReady' } : one)) },
  })
}

function withoutWay({ networking, ...rest }: ZoneIngressSpec): JsonObject | undefined {
  const { advertisedAddress, advertisedPort, ...own } = networking ?? {}
  return advertisedAddress || advertisedPort ? json({ ...rest, networking: own }) : undefined
}

const isSame = (a: Registration, b: Registration): boolean =>
  a.labels[arrivingLabel] === b.labels[arrivingLabel] && canonicalJson(a.spec) === canonicalJson(b.spec)

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
    begin(proxy: string, kind: string, given: Registration, stored: Registration | undefined): Registration {
      const first = withheld(kind, given)
      if (!first || (stored && !isSame(stored, first))) {
        arriving.delete(proxy)
        return given
      }
      arriving.set(proxy, given)
      return first
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
