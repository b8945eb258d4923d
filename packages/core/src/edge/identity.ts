import type { Tags } from '../kinds/common.ts'

/** Tags in the form used in certificates: `<tag>/<value>`, sorted. */
export const identityTags = (...sets: readonly Tags[]): readonly string[] =>
  [...new Set(sets.flatMap((tags) => Object.entries(tags).map(([key, value]) => `${key}/${value}`)))].sort()
