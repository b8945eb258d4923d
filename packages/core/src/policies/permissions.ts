import type { Decided } from '../kinds/because.ts'
import type { Tags } from '../kinds/common.ts'

/** One source in a policy. A source without tags matches every client. */
export interface PermissionRule extends Decided {
  /** `<kind>:<name>` of the policy, as shown in Envoy's statistics and logs. */
  readonly policy: string
  readonly source: Tags
}

/** The clients that may connect: those that a rule allows and no rule denies. */
export interface Permissions {
  readonly allow: readonly PermissionRule[]
  readonly deny: readonly PermissionRule[]
}
