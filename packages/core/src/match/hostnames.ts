import { byCodeUnit } from '@zonemesh/shared/base/base.ts'

/** True if every host that `inner` stands for is also one of `outer`. A wildcard contains names of any depth below it. */
export function hostnameContains(outer: string, inner: string): boolean {
  if (outer === inner || outer === '*') return true
  return outer.startsWith('*.') && inner !== '*' && inner.endsWith(outer.slice(1))
}

/** True if the two have a host in common. */
export const hostnamesMatch = (a: string, b: string): boolean => hostnameContains(a, b) || hostnameContains(b, a)

/** Order of virtual hosts: descending, so that `*` is last. Envoy does not care; people who compare do. */
export const compareHostnames = (a: string, b: string): number => byCodeUnit(b, a)
