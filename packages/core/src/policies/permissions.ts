import type { Decided } from '../kinds/because.ts'
import type { Tags } from '../kinds/common.ts'

/** One source that a policy speaks of. No tags: everybody. */
export interface PermissionRule extends Decided {
  /** `<kind>:<name>` of the policy: what shows in Envoy's statistics and logs. */
  readonly policy: string
  readonly source: Tags
}

/** Who may connect: somebody whom a rule allows and none denies. */
export interface Permissions {
  readonly allow: readonly PermissionRule[]
  readonly deny: readonly PermissionRule[]
}
