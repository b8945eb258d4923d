import { shortHash } from '@zonemesh/shared/base/base.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { sortedTags } from '../kinds/tags.ts'

/**
 * The name of a gateway's cluster. Policies depend on destination and listener, so clusters do too. The name is
 * `<service>-<hash of both tag sets>`, or the plain service if there are no other tags.
 */
export function gatewayClusterName(destination: Tags, listener: Tags): string {
  const service = destination[serviceTag] ?? ''
  if (Object.keys(listener).length === 0 && Object.keys(destination).length === 1) return service
  const flat = (tags: Tags) =>
    sortedTags(tags)
      .map(([key, value]) => key + value)
      .join('')
  return `${service}-${shortHash(flat(destination) + flat(listener))}`
}
