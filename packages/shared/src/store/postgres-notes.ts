import { byCodeUnit, type JsonObject } from '../base/base.ts'
import type { OpenPostgres } from './postgres-open.ts'
import type { Store } from './store.ts'
import { afterEveryKey } from './stored.ts'
import type { Wakeups } from './wakeups.ts'

/** The notes of a store, which are not rows and have no revision. */
export function notesOf({ sql, database }: OpenPostgres, wakeups: Wakeups): Store['notes'] {
  return {
    async put(entries, options) {
      const last = new Map(entries.map(({ name, value }) => [name, value]))
      // Sorted, so that two processes lock the lines in the same order and cannot deadlock.
      const names = [...last.keys()].sort(byCodeUnit)
      const kept = names.filter((name) => last.get(name))
      const values = kept.map((name) => JSON.stringify(last.get(name)))
      await database.ask(sql.putNotes, [kept, values, names.filter((name) => !last.get(name))])
      if (options?.wake) wakeups.wake('notes')
    },
    onWake: (listener) => wakeups.onWake((topic) => topic === 'notes' && listener()),
    async read(prefix) {
      const found = await database.ask(sql.notes, [prefix, prefix + afterEveryKey])
      // `put` has written each value as the JSON text of an object.
      return new Map(found.map(({ name, value }) => [String(name), JSON.parse(String(value)) as JsonObject]))
    },
  }
}
