import { shortHash } from '@zonemesh/shared/base/base.ts'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { sortedTags } from '../kinds/tags.ts'

/**
 * Clusters are per destination and listener, because policies are: `<service>-<hash of both tag sets>`, or the plain
 * service where there is nothing to hash but the service.
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
