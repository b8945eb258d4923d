import type { Store } from '../store/store.ts'

type Page = ReturnType<Store['changesSince']>

/** Pages kept: zones that follow closely ask for the same few. */
const pagesMax = 16

/**
 * Many zones at one position read the same page once, and share its rows and their encoding. A page of a fixed range never
 * changes. Limit: 16 pages, the oldest is dropped.
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
