import { keyText, parseKeyText, type Row } from '../resource/resource.ts'
import { HorizonError } from './errors.ts'
import { nextTurn, type OpenSqlite } from './sqlite-open.ts'
import type { Selection, Store } from './store.ts'
import { keyRange, recordFrom, resumeFrom, versionFrom } from './stored.ts'

/** A long read lets other tasks run after this many rows. */
const rowsPerTurn = 500

type Reads = Pick<Store, 'scan' | 'changesSince' | 'records'>

/** The reads of many rows. */
export function readsOf(store: OpenSqlite): Reads {
  const { statements, recent } = store
  return {
    async scan(selection, { at = store.mark.revision, after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      const rows: Row[] = []
      for (const { from, below } of rangesOf(store, selection)) {
        let resume = after > from ? after : from
        for (;;) {
          if (at < store.horizon) throw new HorizonError(at, store.horizon)
          const pageLimit = Math.min(rowsPerTurn, limit - rows.length)
          const page = statements.scan.all(at, resume, below, selection.kind ?? null, selection.mesh ?? null, pageLimit)
          for (const found of page) {
            const { row } = versionFrom(found)
            if (row) rows.push(row)
          }
          if (rows.length >= limit) return rows
          if (page.length < pageLimit) break
          resume = String(page.at(-1)?.['key'])
          await nextTurn()
        }
      }
      return rows
    },
    async changesSince(after, through, { limit = rowsPerTurn, resume, origin } = {}) {
      if (after < store.horizon) throw new HorizonError(after, store.horizon)
      const options = {
        limit,
        ...(resume === undefined ? {} : { resume }),
        ...(origin === undefined ? {} : { origin }),
      }
      const known = recent.changesSince(after, through, options)
      if (known) return known
      const page = [through, ...resumeFrom(after, resume), limit]
      const { from, below } = keyRange(origin === undefined ? {} : { origin })
      const found =
        origin === undefined ? statements.changes.all(...page) : statements.changesOf.all(...page, from, below)
      const versions = found.map(versionFrom)
      const end = versions.at(-1)
      return versions.length === limit && end ? { versions, next: `${end.revision}/${keyText(end.key)}` } : { versions }
    },
    async records({ after, limit }) {
      return statements.records.all(after, limit, store.head.revision).map((record) => recordFrom(store.id, record))
    },
  }
}

/**
 * The ranges of keys that contain the rows of a selection, in key order. A kind of all origins is one range per origin,
 * because an index of kinds would slow down every write.
 */
function* rangesOf({ statements }: OpenSqlite, selection: Selection): Generator<ReturnType<typeof keyRange>> {
  if (selection.origin !== undefined || selection.kind === undefined) return yield keyRange(selection)
  let from = ''
  for (;;) {
    const key = statements.firstKey.get(from)?.['key']
    if (key === undefined) return
    const { origin } = parseKeyText(String(key))
    yield keyRange({ ...selection, origin })
    from = keyRange({ origin }).below
  }
}
