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

/**
 * The service name that a translation of foreign routes writes if a service does not exist. It gets no cluster, so
 * requests get a 500 response.
 */
export const unresolvedBackend = 'kuma.io/unresolved-backend'

/**
 * The backends of a rule, one per cluster name. The weights of equal destinations are added. If all weights are 0, each
 * counts as 1.
 */
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
