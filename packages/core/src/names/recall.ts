import type { JsonObject } from '@zonemesh/shared/base/base.ts'

/**
 * Key prefix of the entries of a zone's report that hold numbers of its services. All other entries are insights of its
 * proxies.
 */
const prefix = '@number/'

const isNumberEntry = (key: string): boolean => key.startsWith(prefix)

/** The numbers of a zone's services, by `<mesh>/<service>`, as entries of the report to its global. */
export const numberEntries = (numbers: ReadonlyMap<string, number>): Readonly<Record<string, JsonObject>> =>
  Object.fromEntries([...numbers].map(([named, number]) => [prefix + named, { number }]))

/**
 * The numbers in a zone's last report, which the global returns to a zone that lost its store; undefined if it reported
 * none.
 */
export function recallOf(report: Readonly<Record<string, JsonObject>>): JsonObject | undefined {
  const entries = Object.entries(report).filter(([key]) => isNumberEntry(key))
  if (entries.length === 0) return undefined
  return Object.fromEntries(entries.map(([key, { number }]) => [key.slice(prefix.length), number ?? null]))
}

/** The numbers that the global returns, by `<mesh>/<service>`. Invalid entries are ignored. */
export const recalledNumbers = (recall: JsonObject): ReadonlyMap<string, number> =>
  new Map(
    Object.entries(recall).flatMap(([named, number]) =>
      typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 && named.includes('/')
        ? [[named, number] as const]
        : [],
    ),
  )
