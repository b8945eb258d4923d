import { keyText, type Row } from '../resource/resource.ts'
import { HorizonError } from './errors.ts'
import type { Found } from './postgres-connection.ts'
import type { OpenPostgres } from './postgres-open.ts'
import type { Store } from './store.ts'
import { keyRange, recordFrom, resumeFrom, versionFrom } from './stored.ts'

const rowsPerPage = 500

/** The reads of many rows. */
export function readsOf(opened: OpenPostgres): Pick<Store, 'scan' | 'changesSince' | 'records'> {
  const { sql, database, id } = opened
  return {
    async scan(selection, { at: requestedAt, after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      const { from, below } = keyRange(selection)
      const rows: Row[] = []
      let at = requestedAt
      let resume = after > from ? after : from
      for (;;) {
        const pageLimit = Math.min(rowsPerPage, limit - rows.length)
        const { kind = null, mesh = null } = selection
        const values = [at ?? null, resume, below, pageLimit, kind, mesh]
        const page = await database.ask(sql.scan(selection, at === undefined), values)
        if (page[0]) at = Number(page[0]['at'])
        if (at !== undefined) await requireHorizon(opened, at, page)
        for (const { row } of page.map(versionFrom)) if (row) rows.push(row)
        const end = page.at(-1)
        if (page.length < pageLimit || rows.length >= limit || !end) return rows
        resume = String(end['key'])
      }
    },
    async changesSince(after, through, { limit = rowsPerPage, resume, origin } = {}) {
      const values = [through, ...resumeFrom(after, resume), limit]
      const { from, below } = keyRange(origin === undefined ? {} : { origin })
      const page = await (origin === undefined
        ? database.ask(sql.changes, values)
        : database.ask(sql.changesOf, [...values, from, below]))
      await requireHorizon(opened, after, page)
      const versions = page.map(versionFrom)
      const end = versions.at(-1)
      return versions.length === limit && end ? { versions, next: `${end.revision}/${keyText(end.key)}` } : { versions }
    },
    async records({ after, limit }) {
      return (await database.ask(sql.records, [after, limit])).map((record) => recordFrom(id, record))
    },
  }
}

/** An empty page has no horizon. A horizon that is read after the page is at least as high as that of the page. */
async function requireHorizon({ readHead }: OpenPostgres, revision: number, page: readonly Found[]): Promise<void> {
  const horizon = page[0] ? Number(page[0]['horizon']) : (await readHead()).horizon
  if (revision < horizon) throw new HorizonError(revision, horizon)
}
