/** A part of a resource that is suspected: the row it comes from and the hash of its part. */
export interface Suspect {
  readonly source: string
  readonly hash: string
}

export type SearchEffect =
  | { readonly type: 'exclude'; readonly suspect: Suspect }
  | { readonly type: 'readmit'; readonly suspect: Suspect }
  | { readonly type: 'guilty'; readonly suspect: Suspect; readonly detail: string }

/** What is known of one resource of one proxy after a refusal. */
interface Search {
  /** Left out, to be tried again: whole groups at a time. */
  groups: (readonly Suspect[])[]
  /** In the table that is on its way now. */
  current: readonly Suspect[] | undefined
  tries: number
  detail: string
}

/** After so many tries what is left stays out: a search must not keep an Envoy busy for ever. */
const triesMax = 24

const halves = (group: readonly Suspect[]): (readonly Suspect[])[] => {
  const middle = Math.ceil(group.length / 2)
  return group.length <= 1 ? [group] : [group.slice(0, middle), group.slice(middle)]
}

/**
 * Finds which of several changed parts an Envoy refuses: all are left out first, then let in again by halves. Pure: the
 * shell performs the effects and tells when a table without further refusal was answered.
 */
export function createSearches() {
  const searches = new Map<string, Search>()

  function next(key: string, search: Search): SearchEffect[] {
    const group = search.groups.shift()
    if (!group) {
      searches.delete(key)
      return []
    }
    if (search.tries >= triesMax) {
      searches.delete(key)
      return [group, ...search.groups]
        .flat()
        .map((suspect) => ({ type: 'guilty', suspect, detail: `${search.detail} (not tried alone)` }))
    }
    search.tries += 1
    search.current = group
    return group.map((suspect) => ({ type: 'readmit', suspect }))
  }

  return {
    /** A resource was refused; these parts are new or changed since the proxy last accepted it. */
    refused(key: string, suspects: readonly Suspect[], detail: string): SearchEffect[] {
      const search = searches.get(key)
      const group = search?.current ?? suspects
      const effects: SearchEffect[] = group.map((suspect) => ({ type: 'exclude', suspect }))
      const [only] = group
      if (search) {
        search.current = undefined
        search.detail = detail
        if (group.length > 1) search.groups.unshift(...halves(group))
      } else if (group.length > 1) searches.set(key, { groups: halves(group), current: undefined, tries: 0, detail })
      if (group.length === 1 && only) effects.push({ type: 'guilty', suspect: only, detail })
      return effects
    },
    /** The proxy has accepted the table that was made after the last effects. */
    accepted(key: string): SearchEffect[] {
      const search = searches.get(key)
      if (!search) return []
      search.current = undefined
      return next(key, search)
    },
    /** The row was written again or is gone: it is no suspect any more. */
    drop(source: string): void {
      for (const search of searches.values()) {
        const without = (group: readonly Suspect[]) => group.filter((suspect) => suspect.source !== source)
        search.groups = search.groups.map(without).filter((group) => group.length > 0)
        if (search.current) search.current = without(search.current)
      }
    },
    /** Nobody is there to answer any more: what was not tried stays out, and says so. */
    end(key: string): SearchEffect[] {
      const search = searches.get(key)
      searches.delete(key)
      return [...(search?.current ?? []), ...(search?.groups ?? []).flat()].flatMap((suspect): SearchEffect[] => [
        { type: 'exclude', suspect },
        { type: 'guilty', suspect, detail: `${search?.detail} (the proxy left before it was tried alone)` },
      ])
    },
    keys: (): readonly string[] => [...searches.keys()],
  }
}
export type Searches = ReturnType<typeof createSearches>
