import { byCodeUnit, type JsonObject } from '../base/base.ts'
import { keyText } from '../resource/resource.ts'
import { StoreUnavailableError } from './errors.ts'
import { createCommitGroup, type Round, type Transacted } from './group.ts'
import { openHints } from './postgres-hints.ts'
import { headFrom, openPostgres, type PostgresDeps, type PostgresOptions } from './postgres-open.ts'
import { readsOf } from './postgres-reads.ts'
import { prune, transact } from './postgres-writes.ts'
import type { Position, Store } from './store.ts'
import { afterEveryKey, versionFrom } from './stored.ts'

/**
 * The store in a PostgreSQL database, for one process or for several at once. Each commit first locks the line of the
 * head, so commits of all processes run one after the other, revisions have no gaps, and a plan is made against the
 * current state. Every read queries the database; only the newest announced mark is in memory. Throws StoreOpenError if
 * it cannot be opened. Later, an operation without a database rejects with StoreUnavailableError.
 */
export async function openPostgresStore(deps: PostgresDeps, options: PostgresOptions): Promise<Store> {
  const { log } = deps
  const opened = await openPostgres(deps, options)
  const { place, sql, database, id, closing, readHead } = opened
  const group = createCommitGroup((run) => setImmediate(run), commitGroup)
  let announcedMark = 0
  let pruning: Promise<void> | undefined

  function isNews(mark: Position): boolean {
    if (mark.revision <= announcedMark) return false
    announcedMark = mark.revision
    return true
  }

  /**
   * Wakes the listeners if there is a newer mark. `anyway`: also if there is none, because a listener's last read may
   * have failed.
   */
  async function lookForMark(anyway: boolean): Promise<void> {
    try {
      const { mark } = await readHead()
      if (isNews(mark) || anyway) group.wake()
    } catch (cause) {
      log.warn({ store: place.text, err: cause }, 'cannot read the newest mark; trying again at the next poll')
    }
  }

  async function commitGroup(rounds: readonly Round[]): Promise<Transacted> {
    const plan = await transact(opened, rounds)
    const newMark = isNews(plan.mark)
    if (newMark) hints.notify()
    if (plan.head.revision - plan.before.horizon > opened.horizonRevisions * 1.25)
      pruning ??= prune(opened).finally(() => {
        pruning = undefined
      })
    return { outcomes: plan.outcomes, newMark }
  }

  const hints = await openHints(deps, place, (what) => void lookForMark(what === 'lost'))
  try {
    announcedMark = (await readHead()).mark.revision
  } catch (cause) {
    await Promise.all([hints.close(), database.close()])
    throw cause
  }
  return {
    id,
    get incarnation() {
      return opened.incarnation
    },
    async raiseIncarnation(atLeast) {
      headFrom(opened, (await database.ask(sql.raiseIncarnation, [atLeast]))[0])
    },
    notes: {
      async put(entries) {
        const last = new Map(entries.map(({ name, value }) => [name, value]))
        // Sorted, so that two processes lock the lines in the same order and cannot deadlock.
        const names = [...last.keys()].sort(byCodeUnit)
        const kept = names.filter((name) => last.get(name))
        const values = kept.map((name) => JSON.stringify(last.get(name)))
        await database.ask(sql.putNotes, [kept, values, names.filter((name) => !last.get(name))])
      },
      async read(prefix) {
        const found = await database.ask(sql.notes, [prefix, prefix + afterEveryKey])
        // `put` has written each value as the JSON text of an object.
        return new Map(found.map(({ name, value }) => [String(name), JSON.parse(String(value)) as JsonObject]))
      },
    },
    fault: () => undefined,
    head: async () => (await readHead()).head,
    mark: async () => (await readHead()).mark,
    commitRound: group.commitRound,
    commit: group.commit,
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
    onMark: (listener) => group.onMark(listener),
    async close() {
      closing.abort(new StoreUnavailableError(`store ${place.text} is closing`))
      await group.close()
      await hints.close()
      await pruning
      await database.close()
    },
  }
}
