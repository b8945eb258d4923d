import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import type { Selectors, Tags } from './common.ts'

/** The canonical text of a tag set: equal sets have equal texts. */
export const tagsText = (tags: Tags): string => canonicalJson(tags)

/** The tag set of a canonical text. */
export const parseTags = (text: string): Tags =>
  // Only ever called with what tagsText returned.
  JSON.parse(text) as Tags

export const sortedTags = (tags: Tags): [string, string][] => Object.entries(tags).sort(([a], [b]) => byCodeUnit(a, b))

/** True if every tag of the selector is there with an equal value; `*` means there with any value. */
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
