import type { JsonObject } from '../base/base.ts'
import { keyText } from '../resource/resource.ts'
import { createCommitGroup } from './group.ts'
import { openSqlite, positionAt, type SqliteDeps } from './sqlite-open.ts'
import { readsOf } from './sqlite-reads.ts'
import { transact } from './sqlite-writes.ts'
import type { Store } from './store.ts'
import { afterEveryKey, versionFrom } from './stored.ts'
import { neverWoken } from './wakeups.ts'

/**
 * The store in one SQLite file. Rows are read from the file on demand. Only the head, the mark, the horizon and the
 * versions of the newest commits are in memory. Throws StoreOpenError if the file cannot be opened, is no Zonemesh
 * store, or is in use.
 */
export async function openSqliteStore(
  deps: SqliteDeps,
  options: { readonly path: string; readonly horizonRevisions?: number },
): Promise<Store> {
  const store = openSqlite(deps, options.path, options.horizonRevisions ?? 20_000)
  const { id, database, statements, files } = store
  const group = createCommitGroup(
    (run) => setImmediate(run),
    (rounds) => transact(store, rounds),
  )
  return {
    id,
    get incarnation() {
      return store.incarnation
    },
    raiseIncarnation: (atLeast) =>
      group.alone(async () => {
        if (atLeast <= store.incarnation) return
        files.requireSame()
        statements.setIncarnation.run(atLeast)
        store.incarnation = atLeast
      }),
    notes: {
      put: (entries) =>
        group.alone(async () => {
          // One transaction, because each write by itself would wait for the disk.
          database.exec('BEGIN IMMEDIATE')
          try {
            for (const { name, value } of entries) {
              if (value) statements.putNote.run(name, JSON.stringify(value))
              else statements.dropNote.run(name)
            }
            database.exec('COMMIT')
          } finally {
            if (database.isTransaction) database.exec('ROLLBACK')
          }
        }),
      async read(prefix) {
        const found = statements.notes.all(prefix, prefix + afterEveryKey)
        // `put` has written each value as the JSON text of an object.
        return new Map(found.map(({ name, value }) => [String(name), JSON.parse(String(value)) as JsonObject]))
      },
      onWake: neverWoken,
    },
    fault: () => files.fault(),
    head: async () => store.head,
    mark: async () => store.mark,
    commitRound: group.commitRound,
    commit: group.commit,
    async get(key) {
      const found = statements.newest.get(keyText(key), store.head.revision)
      return found && versionFrom(found)
    },
    ...readsOf(store),
    history: async (key) => statements.history.all(keyText(key), store.head.revision).map(versionFrom),
    async standing(position) {
      if (position.store !== id || position.revision > store.head.revision) return 'diverged'
      if (position.revision < store.horizon) return 'behind'
      return positionAt(store, position.revision)?.commitId === position.commitId ? 'valid' : 'diverged'
    },
    onMark: (listener) => group.onMark(listener),
    async close() {
      await group.close()
      files[Symbol.dispose]()
      if (database.isOpen) database.close()
    },
  }
}
