import { keyText } from '../resource/resource.ts'
import { HorizonError } from './errors.ts'
import type { Store, Version } from './store.ts'

const pageRows = 500

/** All live rows at a revision, in pages, in the form of versions. Rejects with HorizonError. */
export async function* stateAt(store: Store, revision: number): AsyncGenerator<readonly Version[]> {
  let after: string | undefined
  for (;;) {
    const rows = await store.scan({}, { at: revision, limit: pageRows, ...(after === undefined ? {} : { after }) })
    yield rows.map((row): Version => ({ key: row.key, revision, state: 'live', stamp: row.stamp, row }))
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = keyText(last.key)
  }
}

async function* pagesBetween(store: Store, after: number, through: number): AsyncGenerator<readonly Version[]> {
  let resume: string | undefined
  do {
    const page = await store.changesSince(after, through, resume === undefined ? {} : { resume })
    yield page.versions
    resume = page.next
  } while (resume !== undefined)
}

/**
 * The newest version of each key that commits after one revision up to another have written, read page by page. Rejects
 * with HorizonError.
 */
export async function* versionsBetween(store: Store, after: number, through: number): AsyncGenerator<Version> {
  for await (const page of pagesBetween(store, after, through)) yield* page
}

/**
 * The versions of `versionsBetween` as a list; undefined if they were pruned, so that the caller must read the whole
 * state.
 */
export async function changesAfter(store: Store, after: number, through: number): Promise<Version[] | undefined> {
  const versions: Version[] = []
  try {
    for await (const page of pagesBetween(store, after, through)) versions.push(...page)
    return versions
  } catch (cause) {
    if (cause instanceof HorizonError) return undefined
    throw cause
  }
}
