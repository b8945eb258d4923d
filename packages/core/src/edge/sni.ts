import { serviceTag, type Tags } from '../kinds/common.ts'
import { sortedTags } from '../kinds/tags.ts'

/**
 * The SNI that a client sends and that an ingress routes by: `<service>{<key>=<value>,…,mesh=<mesh>}` with sorted keys.
 */
export function sniOf(mesh: string, tags: Tags): string {
  const { [serviceTag]: service = '', ...rest } = tags
  return `${service}{${sortedTags({ ...rest, mesh })
    .map(([key, value]) => `${key}=${value}`)
    .join(',')}}`
}
