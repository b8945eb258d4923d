import { byCodeUnit } from '@zonemesh/shared/base/base.ts'

/** True if every host that `inner` stands for is also one of `outer`. A wildcard contains names of any depth below it. */
export function hostnameContains(outer: string, inner: string): boolean {
  if (outer === inner || outer === '*') return true
  return outer.startsWith('*.') && inner !== '*' && inner.endsWith(outer.slice(1))
}

/** True if the two have a host in common. */
export const hostnamesMatch = (a: string, b: string): boolean => hostnameContains(a, b) || hostnameContains(b, a)

/** Exact names before wildcards, longer before shorter, any host last: of two that contain a host, the greater has it. */
export const specificity = (hostname: string): number =>
  hostname === '*' ? 0 : hostname.startsWith('*') ? hostname.length : 1_000 + hostname.length

/** Order of virtual hosts: descending, so that `*` is last. Envoy does not care; people who compare do. */
export const compareHostnames = (a: string, b: string): number => byCodeUnit(b, a)
