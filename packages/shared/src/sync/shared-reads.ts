import { causesBetween } from '../store/causes.ts'
import type { Store } from '../store/store.ts'
import type { CausesBetween } from './reads.ts'

type Page = ReturnType<Store['changesSince']>

/** How many pages are kept. Zones that are nearly up to date read the same few. */
const pagesMax = 16

/**
 * Reads a page once for all zones at the same position, so that they share its rows and their encoding. A page of a
 * fixed range never changes. Limit: 16 pages, the oldest is dropped.
 */
export function createSharedReads(store: Store): Pick<Store, 'changesSince'> & { causesBetween: CausesBetween } {
  const pages = createKept<Page>()
  const causes = createKept<ReturnType<CausesBetween>>()
  return {
    changesSince: (after, through, options = {}) =>
      pages.get(`${after}/${through}/${options.limit ?? ''}/${options.resume ?? ''}/${options.origin ?? ''}`, () =>
        store.changesSince(after, through, options),
      ),
    causesBetween: (after, through) => causes.get(`${after}/${through}`, () => causesBetween(store, after, through)),
  }
}

/** The newest reads by name. A failed one is not kept. */
function createKept<T extends Promise<unknown>>() {
  const kept = new Map<string, T>()
  return {
    get(name: string, read: () => T): T {
      const known = kept.get(name)
      if (known) return known
      const found = read()
      kept.set(name, found)
      found.catch(() => kept.delete(name))
      const oldest = kept.keys().next().value
      if (kept.size > pagesMax && oldest !== undefined) kept.delete(oldest)
      return found
    },
  }
}
