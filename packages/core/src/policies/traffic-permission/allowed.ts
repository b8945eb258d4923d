import type { PermissionRule } from '../permissions.ts'
import type { TrafficPermissionSpec } from './traffic-permission.ts'

/** The sources that a TrafficPermission allows, given that it is about this destination. */
export const allowedBy = (name: string, spec: TrafficPermissionSpec): readonly PermissionRule[] =>
  spec.sources.map(({ match = {} }) => ({ policy: `TrafficPermission:${name}`, source: match }))
