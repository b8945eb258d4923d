import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { displayName } from '../../kinds/common.ts'
import type { TypedRow } from '../../kinds/kind.ts'
import type { PermissionRule, Permissions } from '../permissions.ts'
import type { MeshTrafficPermissionSpec } from './mesh-traffic-permission.ts'

/** The sources that a MeshTrafficPermission allows and denies. A denial overrides every permission. */
export function permissionsBy(row: TypedRow<MeshTrafficPermissionSpec>): Permissions {
  const allow: PermissionRule[] = []
  const deny: PermissionRule[] = []
  const shared = { policy: `MeshTrafficPermission:${displayName(row)}`, because: [keyText(row.key)] }
  for (const { targetRef, default: verdict } of row.spec.from ?? []) {
    const rule = { ...shared, source: targetRef.kind === 'MeshSubset' ? (targetRef.tags ?? {}) : {} }
    if (verdict?.action === 'Deny') deny.push(rule)
    else allow.push(rule)
  }
  return { allow, deny }
}
