import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import { type Selectors, serviceTag, type Tags } from './common.ts'
import { type ServiceName, serviceName } from './identities.ts'
import { createInterning, type Interned } from './interned.ts'

/** The canonical text of a tag set: equal sets have equal texts. */
export const tagsText = (tags: Tags): string => canonicalJson(tags)

/** An interned tag set: equal sets are identical. */
export interface TagSet extends Interned {
  readonly tags: Tags
}

/** Interns tag sets. */
export const createTagSets = () =>
  createInterning(
    tagsText,
    (one, tags: Tags): TagSet => ({
      ...one,
      // In canonical order, so that the result does not depend on the first caller.
      tags: Object.fromEntries(sortedTags(tags)),
    }),
  )
export type TagSets = ReturnType<typeof createTagSets>

/** The service of a tag set; the empty name if it has none. */
export const serviceOf = ({ tags }: Pick<TagSet, 'tags'>): ServiceName => serviceName(tags[serviceTag] ?? '')

export const sortedTags = (tags: Tags): [string, string][] => Object.entries(tags).sort(([a], [b]) => byCodeUnit(a, b))

/** True if every tag of the selector is present with an equal value; `*` matches any value. */
export const selects = (selector: Tags, tags: Tags): boolean =>
  Object.entries(selector).every(([key, value]) => {
    const found = tags[key]
    return found !== undefined && (value === '*' || value === found)
  })

/** How specific a match is: more tags first, then more exact ones. */
export interface Rank {
  readonly tags: number
  readonly exact: number
}

export const rankOf = (selector: Tags): Rank => {
  const values = Object.values(selector)
  return { tags: values.length, exact: values.filter((value) => value !== '*').length }
}

/** Positive if `a` is more specific. */
export const compareRank = (a: Rank, b: Rank): number => a.tags - b.tags || a.exact - b.exact

export const addRanks = (a: Rank, b: Rank): Rank => ({ tags: a.tags + b.tags, exact: a.exact + b.exact })

/** The rank of the most specific selector that matches; undefined if none does. */
export function bestMatch(selectors: Selectors | undefined, tags: Tags): Rank | undefined {
  let best: Rank | undefined
  for (const { match = {} } of selectors ?? []) {
    if (!selects(match, tags)) continue
    const rank = rankOf(match)
    if (!best || compareRank(rank, best) > 0) best = rank
  }
  return best
}
