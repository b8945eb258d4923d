import { isDeepStrictEqual } from 'node:util'
import type { Json, JsonObject } from '@zonemesh/shared/base/base.ts'

/** One changed field. `before` is absent if it was added, `after` if it was removed. */
export interface FieldChange {
  /** A path such as `conf.http.rules[0].backends[1].weight`. */
  readonly field: string
  readonly before?: Json
  readonly after?: Json
}

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

const join = (path: string, key: string): string =>
  /^[A-Za-z_][\w-]*$/.test(key) ? (path === '' ? key : `${path}.${key}`) : `${path}["${key}"]`

/** The deepest fields in which two documents differ, in the order of the first document, then of the second. */
export function changedFields(before: Json | undefined, after: Json | undefined, path = ''): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return []
  if (isObject(before) && isObject(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => changedFields(before[key], after[key], join(path, key)))
  }
  if (isList(before) && isList(after)) {
    return Array.from({ length: Math.max(before.length, after.length) }).flatMap((_unused, index) =>
      changedFields(before[index], after[index], `${path}[${index}]`),
    )
  }
  return [{ field: path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }]
}
