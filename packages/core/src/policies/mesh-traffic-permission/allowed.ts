import type { PermissionRule, Permissions } from '../permissions.ts'
import type { MeshTrafficPermissionSpec } from './mesh-traffic-permission.ts'

/** What a MeshTrafficPermission allows and denies. A denial wins over every permission. */
export function permissionsBy(name: string, spec: MeshTrafficPermissionSpec): Permissions {
  const allow: PermissionRule[] = []
  const deny: PermissionRule[] = []
  for (const { targetRef, default: verdict } of spec.from ?? []) {
    const rule = {
      policy: `MeshTrafficPermission:${name}`,
      source: targetRef.kind === 'MeshSubset' ? (targetRef.tags ?? {}) : {},
    }
    if (verdict?.action === 'Deny') deny.push(rule)
    else allow.push(rule)
  }
  return { allow, deny }
}
