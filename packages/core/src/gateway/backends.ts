import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { gatewayClusterName } from '../edge/cluster-name.ts'
import type { Tags } from '../kinds/common.ts'
import { expectCount } from '../kinds/expect.ts'
import type { RouteBackend } from '../kinds/mesh-gateway-route-spec.ts'
import { tagsText } from '../kinds/tags.ts'

export interface WeightedBackend {
  readonly cluster: string
  readonly weight: number
  readonly tags: Tags
}

/** What a translation of foreign routes writes for a service that does not exist: no cluster, so 500. */
export const unresolvedBackend = 'kuma.io/unresolved-backend'

/** The backends of a rule by cluster name: equal destinations are added up, weights that are all 0 count as 1 each. */
export function weightBackends(backends: readonly RouteBackend[], listener: Tags): readonly WeightedBackend[] {
  const byDestination = new Map<string, { tags: Tags; weight: number }>()
  for (const { destination = {}, weight = 0 } of backends) {
    const key = tagsText(destination)
    const before = byDestination.get(key)?.weight ?? 0
    byDestination.set(key, {
      tags: destination,
      weight: before + expectCount('weight', weight),
    })
  }
  const all = [...byDestination.values()]
  expectCount(
    'the sum of weights',
    all.reduce((sum, one) => sum + one.weight, 0),
  )
  const noWeights = all.every((one) => one.weight === 0)
  return all
    .map(({ tags, weight }) => ({
      cluster: gatewayClusterName(tags, listener),
      weight: noWeights ? 1 : weight,
      tags,
    }))
    .sort((a, b) => byCodeUnit(a.cluster, b.cluster))
}
