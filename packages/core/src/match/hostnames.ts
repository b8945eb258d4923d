import { byCodeUnit } from '@zonemesh/shared/base/base.ts'

/** True if `outer` covers every host that `inner` covers. A wildcard covers names of any depth below it. */
export function hostnameContains(outer: string, inner: string): boolean {
  if (outer === inner || outer === '*') return true
  return outer.startsWith('*.') && inner !== '*' && inner.endsWith(outer.slice(1))
}

/** True if some host matches both. */
export const hostnamesMatch = (a: string, b: string): boolean => hostnameContains(a, b) || hostnameContains(b, a)

/**
 * Exact names are more specific than wildcards, longer names more than shorter ones, and any host is last. The most
 * specific hostname that covers a host owns it.
 */
export const specificity = (hostname: string): number =>
  hostname === '*' ? 0 : hostname.startsWith('*') ? hostname.length : 1_000 + hostname.length

/** The order of virtual hosts: descending, so that `*` is last. It keeps diffs readable; Envoy ignores it. */
export const compareHostnames = (a: string, b: string): number => byCodeUnit(b, a)
