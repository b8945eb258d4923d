import { isOfRow } from '@zonemesh/core/model/exclusions.ts'

/** A part of a resource that is suspected: the row it comes from (and which part of it) and the hash of its part. */
export interface Suspect {
  readonly source: string
  readonly hash: string
}

export type SearchEffect =
  | { readonly type: 'exclude'; readonly suspect: Suspect }
  | { readonly type: 'readmit'; readonly suspect: Suspect }
  | { readonly type: 'guilty'; readonly suspect: Suspect; readonly detail: string }

/** What is known of one resource of one proxy after a refusal. All suspects are left out but those of `current`. */
interface Search {
  /** Refused together: at least one of them is guilty. */
  guilty: readonly Suspect[]
  /** Of these nothing is known. */
  open: readonly Suspect[]
  /** In the table that is on its way now; taken from the others. */
  current: readonly Suspect[] | undefined
  tries: number
  detail: string
}

/** So many tables are tried. Then what is left stays out: a search must not keep an Envoy busy for ever. */
const triesMax = 8

const without = (group: readonly Suspect[], part: readonly Suspect[]): readonly Suspect[] =>
  group.filter(({ source, hash }) => !part.some((one) => one.source === source && one.hash === hash))

/**
 * The next group to let in. As many tries as suspects: one by one. Otherwise half of those among which a guilty one is;
 * the rest of the refused ones, most likely innocent, comes as a whole, and for that the last try is kept.
 */
function choose({ guilty, open, tries }: Search): readonly Suspect[] {
  const left = triesMax - tries
  if (guilty.length + open.length <= left) return (guilty.length > 0 ? guilty : open).slice(0, 1)
  if (guilty.length === 0 || (left === 1 && open.length > 0)) return open
  return guilty.slice(0, Math.ceil(guilty.length / 2))
}

/**
 * Finds which of several changed parts an Envoy refuses: all are left out first, then let in again by halves, in at most
 * eight tables. Pure: the shell performs the effects and tells when a table without further refusal was answered.
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
    /** A resource was refused; these parts are new or changed since the proxy last accepted it. */
    refused(key: string, suspects: readonly Suspect[], detail: string): SearchEffect[] {
      const search = searches.get(key)
      if (!search) return begin(key, suspects, detail)
      const { current = [] } = search
      // What was written meanwhile came with the same table.
      const together = [...current, ...without(suspects, current)]
      if (together.length === 0) return []
      search.open = without([...search.guilty, ...search.open], together)
      search.guilty = together
      search.current = undefined
      search.detail = detail
      // At once: Envoy keeps what it accepted last.
      return [...together.map((suspect): SearchEffect => ({ type: 'exclude', suspect })), ...next(key, search)]
    },
    /** The proxy has accepted the table that was made after the last effects. */
    accepted(key: string): SearchEffect[] {
      const search = searches.get(key)
      if (!search) return []
      const { current = [] } = search
      search.guilty = without(search.guilty, current)
      search.open = without(search.open, current)
      search.current = undefined
      return next(key, search)
    },
    /** The row was written again or is gone: it is no suspect any more. */
    drop(row: string): void {
      for (const search of searches.values()) {
        const rest = (group: readonly Suspect[]) => group.filter((suspect) => !isOfRow(suspect.source, row))
        const guilty = rest(search.guilty)
        // It may have been the guilty one, so of the others nothing is known any more.
        const isSure = guilty.length === search.guilty.length
        search.open = [...(isSure ? [] : guilty), ...rest(search.open)]
        search.guilty = isSure ? guilty : []
        if (search.current) search.current = rest(search.current)
      }
    },
    /** Nobody is there to answer any more: what was not tried stays out, and says so. */
    end(key: string): SearchEffect[] {
      const search = searches.get(key)
      searches.delete(key)
      return [...(search?.guilty ?? []), ...(search?.open ?? [])].flatMap((suspect): SearchEffect[] => [
        { type: 'exclude', suspect },
        { type: 'guilty', suspect, detail: `${search?.detail} (the proxy left before it was tried alone)` },
      ])
    },
    keys: (): readonly string[] => [...searches.keys()],
  }
}
export type Searches = ReturnType<typeof createSearches>
