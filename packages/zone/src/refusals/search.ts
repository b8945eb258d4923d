import { isOfRow } from '@zonemesh/core/model/exclusions.ts'

/**
 * A contribution that an Envoy may have refused: its row (and the part of the row), and the hash of the contribution.
 */
export interface Suspect {
  readonly source: string
  readonly hash: string
}

export type SearchEffect =
  | { readonly type: 'exclude'; readonly suspect: Suspect }
  | { readonly type: 'readmit'; readonly suspect: Suspect }
  | { readonly type: 'guilty'; readonly suspect: Suspect; readonly detail: string }

/** The search in one resource of one proxy after a refusal. All suspects are left out, except those in `current`. */
interface Search {
  /** Suspects that were refused together: at least one of them is guilty. */
  guilty: readonly Suspect[]
  /** Suspects that may be innocent or guilty. */
  open: readonly Suspect[]
  /** Suspects of `guilty` or `open` that are in the table that waits for an answer. */
  current: readonly Suspect[] | undefined
  tries: number
  detail: string
}

/** Limit of the tables per search, so that a search cannot keep an Envoy busy for ever. Untried suspects stay out. */
const triesMax = 8

const without = (group: readonly Suspect[], part: readonly Suspect[]): readonly Suspect[] =>
  group.filter(({ source, hash }) => !part.some((suspect) => suspect.source === source && suspect.hash === hash))

/**
 * The next group to readmit. If there are enough tries for all suspects, they are tried one by one. Otherwise half of
 * a group that holds a guilty one is tried. Open suspects, most likely innocent, are tried together, in the last try
 * if need be.
 */
function choose({ guilty, open, tries }: Search): readonly Suspect[] {
  const left = triesMax - tries
  if (guilty.length + open.length <= left) return (guilty.length > 0 ? guilty : open).slice(0, 1)
  if (guilty.length === 0 || (left === 1 && open.length > 0)) return open
  return guilty.slice(0, Math.ceil(guilty.length / 2))
}

/**
 * Finds which of several changed parts an Envoy refuses. All are excluded first, then readmitted by halves, in at most
 * eight tables. It is pure: the shell performs the effects, and calls `accepted` when the proxy has answered a table
 * without a further refusal.
 */
export function createSearches() {
  const searches = new Map<string, Search>()

  function next(key: string, search: Search): SearchEffect[] {
    const effects: SearchEffect[] = []
    const [only] = search.guilty
    if (only && search.guilty.length === 1) {
      effects.push({ type: 'guilty', suspect: only, detail: search.detail })
      search.guilty = []
    }
    const untried = [...search.guilty, ...search.open]
    if (untried.length === 0 || search.tries >= triesMax) {
      searches.delete(key)
      const detail = `${search.detail} (not tried alone)`
      return [...effects, ...untried.map((suspect): SearchEffect => ({ type: 'guilty', suspect, detail }))]
    }
    search.current = choose(search)
    search.tries += 1
    return [...effects, ...search.current.map((suspect): SearchEffect => ({ type: 'readmit', suspect }))]
  }

  function begin(key: string, suspects: readonly Suspect[], detail: string): SearchEffect[] {
    const effects: SearchEffect[] = suspects.map((suspect) => ({ type: 'exclude', suspect }))
    const [only] = suspects
    if (only && suspects.length === 1) effects.push({ type: 'guilty', suspect: only, detail })
    else if (only) searches.set(key, { guilty: suspects, open: [], current: undefined, tries: 0, detail })
    return effects
  }

  return {
    /** A resource was refused. These parts are new, or have changed since the proxy last accepted the resource. */
    refused(key: string, suspects: readonly Suspect[], detail: string): SearchEffect[] {
      const search = searches.get(key)
      if (!search) return begin(key, suspects, detail)
      const { current = [] } = search
      // Parts that were written in the meantime came with the same table.
      const together = [...current, ...without(suspects, current)]
      if (together.length === 0) return []
      search.open = without([...search.guilty, ...search.open], together)
      search.guilty = together
      search.current = undefined
      search.detail = detail
      // The next try needs no table in between: Envoy keeps what it accepted last.
      return [...together.map((suspect): SearchEffect => ({ type: 'exclude', suspect })), ...next(key, search)]
    },
    /** The proxy has accepted the table that was published after the last effects. */
    accepted(key: string): SearchEffect[] {
      const search = searches.get(key)
      if (!search) return []
      const { current = [] } = search
      search.guilty = without(search.guilty, current)
      search.open = without(search.open, current)
      search.current = undefined
      return next(key, search)
    },
    /** The row was written again or deleted: its parts are no suspects any more. */
    drop(row: string): void {
      for (const search of searches.values()) {
        const rest = (group: readonly Suspect[]) => group.filter((suspect) => !isOfRow(suspect.source, row))
        const guilty = rest(search.guilty)
        // The dropped row may have been the guilty one, so the rest of the group may be innocent.
        const isSure = guilty.length === search.guilty.length
        search.open = [...(isSure ? [] : guilty), ...rest(search.open)]
        search.guilty = isSure ? guilty : []
        if (search.current) search.current = rest(search.current)
      }
    },
    /** The proxy has disconnected: untried suspects stay out, and the reason states this. */
    end(key: string): SearchEffect[] {
      const search = searches.get(key)
      searches.delete(key)
      return [...(search?.guilty ?? []), ...(search?.open ?? [])].flatMap((suspect): SearchEffect[] => [
        { type: 'exclude', suspect },
        { type: 'guilty', suspect, detail: `${search?.detail} (the proxy disconnected before it was tried alone)` },
      ])
    },
    keys: (): readonly string[] => [...searches.keys()],
  }
}
export type Searches = ReturnType<typeof createSearches>
