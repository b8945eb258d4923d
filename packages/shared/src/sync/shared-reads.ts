import type { Store } from '../store/store.ts'

type Page = ReturnType<Store['changesSince']>

/** How many pages are kept. Zones that are nearly up to date read the same few. */
const pagesMax = 16

/**
 * Reads a page once for all zones at the same position, so that they share its rows and their encoding. A page of a
 * fixed range never changes. Limit: 16 pages, the oldest is dropped.
 */
export function createSharedReads(store: Store): Store['changesSince'] {
  const pages = new Map<string, Page>()
  return (after, through, options = {}) => {
    const name = `${after}/${through}/${options.limit ?? ''}/${options.resume ?? ''}/${options.origin ?? ''}`
    const known = pages.get(name)
    if (known) return known
    const page = store.changesSince(after, through, options)
    pages.set(name, page)
    page.catch(() => pages.delete(name))
    const oldest = pages.keys().next().value
    if (pages.size > pagesMax && oldest !== undefined) pages.delete(oldest)
    return page
  }
}
