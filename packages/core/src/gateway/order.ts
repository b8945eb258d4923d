import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { RouteModel } from '../model/model.ts'

/** A route with the properties that decide its place in a virtual host. */
export interface RouteEntry {
  readonly route: RouteModel
  /** The exact route that accompanies a prefix route. It comes after an exact route that a rule names. */
  readonly isTwin: boolean
  readonly createdAtMs: number
  readonly source: string
  /** The positions of rule and match in the resource. */
  readonly rule: number
  readonly match: number
}

const typeRank = { exact: 0, prefix: 1, regex: 2 } as const

/**
 * The order in which Envoy tries routes: exact before prefix before regular expression, longer before shorter, routes
 * with a method first, then more headers, more query parameters, and the path. Remaining ties are broken by age, name
 * and position, so that every zone has the same order.
 */
export function compareEntries(a: RouteEntry, b: RouteEntry): number {
  return (
    typeRank[a.route.path.type] - typeRank[b.route.path.type] ||
    b.route.path.path.length - a.route.path.path.length ||
    Number(a.isTwin) - Number(b.isTwin) ||
    Number(b.route.method !== undefined) - Number(a.route.method !== undefined) ||
    b.route.headers.length - a.route.headers.length ||
    b.route.queries.length - a.route.queries.length ||
    byCodeUnit(a.route.path.path, b.route.path.path) ||
    a.createdAtMs - b.createdAtMs ||
    byCodeUnit(a.source, b.source) ||
    a.rule - b.rule ||
    a.match - b.match
  )
}
