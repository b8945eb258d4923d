import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { gatewayClusterName } from '../edge/cluster-name.ts'
import { expectCount } from '../kinds/expect.ts'
import type { RouteBackend } from '../kinds/mesh-gateway-route-spec.ts'
import type { TagSet, TagSets } from '../kinds/tags.ts'

export interface WeightedBackend {
  readonly cluster: string
  readonly weight: number
  readonly tags: TagSet
}

/** What a translation of foreign routes writes for a service that does not exist: no cluster, so 500. */
export const unresolvedBackend = 'kuma.io/unresolved-backend'

/** The backends of a rule by cluster name: equal destinations are added up, weights that are all 0 count as 1 each. */
export function weightBackends(
  backends: readonly RouteBackend[],
  listener: TagSet,
  tagSet: TagSets,
): readonly WeightedBackend[] {
  const weightByTags = new Map<TagSet, number>()
  for (const { destination = {}, weight = 0 } of backends) {
    const tags = tagSet(destination)
    weightByTags.set(tags, (weightByTags.get(tags) ?? 0) + expectCount('weight', weight))
  }
  const weights = [...weightByTags.values()]
  expectCount(
    'the sum of weights',
    weights.reduce((sum, one) => sum + one, 0),
  )
  const noWeights = weights.every((one) => one === 0)
  return [...weightByTags]
    .map(([tags, weight]) => ({
      cluster: gatewayClusterName(tags.tags, listener.tags),
      weight: noWeights ? 1 : weight,
      tags,
    }))
    .sort((a, b) => byCodeUnit(a.cluster, b.cluster))
}
