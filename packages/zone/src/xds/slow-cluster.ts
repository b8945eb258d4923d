import { BinaryReader } from '@bufbuild/protobuf/wire'
import type { XdsResource } from '@zonemesh/core/emit/table.ts'

const fields = { type: 2, healthChecks: 8, clusterType: 38 } as const
const dnsTypes: readonly number[] = [1, 2] // STRICT_DNS, LOGICAL_DNS

const slowByResource = new WeakMap<XdsResource, boolean>()

/**
 * Whether a cluster needs more than its assignment to become warm: the first round of health checks, or a DNS response.
 * Reads only the tags of the outer message, once per resource.
 */
export function warmsSlowly(cluster: XdsResource): boolean {
  const known = slowByResource.get(cluster)
  if (known !== undefined) return known
  const slow = scan(cluster.bytes)
  slowByResource.set(cluster, slow)
  return slow
}

function scan(bytes: Uint8Array): boolean {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if (field === fields.healthChecks || field === fields.clusterType) return true
    if (field === fields.type) {
      if (dnsTypes.includes(reader.int32())) return true
    } else reader.skip(wireType, field)
  }
  return false
}
