import { keyText } from '../resource/resource.ts'
import { StoreUnavailableError } from './errors.ts'
import { openMarks } from './postgres-marks.ts'
import { notesOf } from './postgres-notes.ts'
import { headFrom, openPostgres, type PostgresDeps, type PostgresOptions } from './postgres-open.ts'
import { readsOf } from './postgres-reads.ts'
import { createCommits } from './postgres-writes.ts'
import type { Store } from './store.ts'
import { versionFrom } from './stored.ts'

/**
 * The store in a PostgreSQL database, for one process or for several at once. Each commit first locks the line of the
 * head, so commits of all processes run one after the other, revisions have no gaps, and a plan is made against the
 * current state. Every read queries the database; only the newest announced mark is in memory. Throws StoreOpenError if
 * it cannot be opened. Later, an operation without a database rejects with StoreUnavailableError.
 */
export async function openPostgresStore(deps: PostgresDeps, options: PostgresOptions): Promise<Store> {
  const opened = await openPostgres(deps, options)
  const { place, sql, database, id, closing, readHead } = opened
  const commits = createCommits(opened, (mark) => marks.announce(mark))
  const wakeups = options.wakeups?.(id)
  const marks = await openMarks(opened, commits.wake, wakeups).catch(async (cause: unknown) => {
    await database.close()
    throw cause
  })
  return {
    id,
    get incarnation() {
      return opened.incarnation
    },
    async raiseIncarnation(atLeast) {
      headFrom(opened, (await database.ask(sql.raiseIncarnation, [atLeast]))[0])
    },
    notes: notesOf(opened, marks),
    fault: () => undefined,
    head: async () => (await readHead()).head,
    mark: async () => (await readHead()).mark,
    commitRound: commits.commitRound,
    commit: commits.commit,
    async get(key) {
      const [found] = await database.ask(sql.newest, [keyText(key)])
      return found && versionFrom(found)
    },
    ...readsOf(opened),
    history: async (key) => (await database.ask(sql.history, [keyText(key)])).map(versionFrom),
    async standing(position) {
      const [found] = await database.ask(sql.standing, [position.revision])
      const { head, horizon } = headFrom(opened, found)
      if (position.store !== id || position.revision > head.revision) return 'diverged'
      if (position.revision < horizon) return 'behind'
      return found?.['asked_id'] === position.commitId ? 'valid' : 'diverged'
    },
    onMark: (listener) => commits.onMark(listener),
    async close() {
      closing.abort(new StoreUnavailableError(`store ${place.text} is closing`))
      await commits.close()
      await marks.close()
      await commits.pruned()
      await database.close()
    },
  }
}
