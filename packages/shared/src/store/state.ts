import { keyText } from '../resource/resource.ts'
import { HorizonError } from './errors.ts'
import type { Store, Version } from './store.ts'

const pageRows = 500

/** All live rows at a revision, in pages, as the versions that a reader of changes would see. Rejects with HorizonError. */
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

/** What changed after a revision, all pages; undefined when its versions are gone: the state has to be read anew. */
export async function changesAfter(store: Store, after: number, through: number): Promise<Version[] | undefined> {
  const versions: Version[] = []
  let resume: string | undefined
  try {
    do {
      const page = { limit: pageRows, ...(resume === undefined ? {} : { resume }) }
      const found = await store.changesSince(after, through, page)
      versions.push(...found.versions)
      resume = found.next
    } while (resume !== undefined)
    return versions
  } catch (cause) {
    if (cause instanceof HorizonError) return undefined
    throw cause
  }
}
