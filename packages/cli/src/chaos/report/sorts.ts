interface Entry {
  readonly atMs: number
  readonly reason: string
}

/** Entries with the same cause: how many there are, and the first of them. */
export interface Sort {
  readonly count: number
  readonly first: Entry
}

/** Other numbers make no other cause, except the status of a response. */
const causeOf = (reason: string): string => reason.replace(/(?<!failed: )\b\d+/g, '#')

/** One entry of each cause, in the order in which the causes appeared. */
export function sortsOf(entries: readonly Entry[]): readonly Sort[] {
  const ordered = entries.toSorted((a, b) => a.atMs - b.atMs)
  return [...Map.groupBy(ordered, ({ reason }) => causeOf(reason)).values()].flatMap((same) => {
    const [first] = same
    return first ? [{ count: same.length, first }] : []
  })
}
