import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { portInRange, type Tags } from '../kinds/common.ts'
import { expectPort } from '../kinds/expect.ts'
import type { MeshGatewaySpec } from '../kinds/mesh-gateway-spec.ts'
import { bestMatch, compareRank, type Rank } from '../kinds/tags.ts'

/** A MeshGateway that selects a proxy. */
export interface GatewayCandidate {
  /** The key text of the row. */
  readonly key: string
  readonly createdAtMs: number
  readonly rank: Rank
}

/**
 * How well a gateway matches these tags; undefined if it does not. Throws if the gateway has no valid listener, so that
 * it does not hide another gateway.
 */
export function gatewayRank(spec: MeshGatewaySpec, tags: Tags): Rank | undefined {
  const rank = bestMatch(spec.selectors, tags)
  const listeners = spec.conf?.listeners ?? []
  if (rank && listeners.length === 0) throw new Error('conf.listeners: expected at least one')
  if (rank && !listeners.some(({ port }) => portInRange(port))) expectPort('conf.listeners.port', listeners[0]?.port)
  return rank
}

/** The most specific gateway serves a proxy; among equals the newest. */
export const isBetterGateway = (a: GatewayCandidate, b: GatewayCandidate): boolean => {
  const order = compareRank(a.rank, b.rank) || a.createdAtMs - b.createdAtMs || byCodeUnit(b.key, a.key)
  return order > 0
}
