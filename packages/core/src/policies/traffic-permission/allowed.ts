import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { displayName } from '../../kinds/common.ts'
import type { TypedRow } from '../../kinds/kind.ts'
import type { PermissionRule } from '../permissions.ts'
import type { TrafficPermissionSpec } from './traffic-permission.ts'

/** The sources that a TrafficPermission allows. The caller has checked that it selects the destination. */
export function allowedBy(row: TypedRow<TrafficPermissionSpec>): readonly PermissionRule[] {
  const because = [keyText(row.key)]
  const policy = `TrafficPermission:${displayName(row)}`
  return row.spec.sources.map(({ match = {} }) => ({ policy, source: match, because }))
}
