import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import type { FaultHook } from './faults.ts'
import { createFileGuard, type FileGuard } from './file-guard.ts'
import { createRecent } from './recent.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { prepareStatements, type SqliteStatements } from './sqlite-statements.ts'
import type { Position } from './store.ts'

export interface SqliteDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly faultPoint?: FaultHook
}

/**
 * An open file, which reads and writes of the store share. The mutable fields change only at the end of a transaction.
 */
export interface OpenSqlite {
  readonly deps: SqliteDeps
  readonly path: string
  readonly database: DatabaseSync
  readonly statements: SqliteStatements
  readonly files: FileGuard
  /** The versions that the newest commits have written. */
  readonly recent: ReturnType<typeof createRecent>
  readonly id: string
  readonly horizonRevisions: number
  incarnation: number
  horizon: number
  head: Position
  mark: Position
}

/** Throws StoreOpenError if the file cannot be opened, is not ours, or has another owner. */
export function openSqlite(deps: SqliteDeps, path: string, horizonRevisions: number): OpenSqlite {
  const database = openSqliteFile(deps, path)
  const meta = (name: string) => database.prepare('SELECT value FROM meta WHERE name = ?').get(name)?.['value']
  const id = String(meta('store'))
  const statements = prepareStatements(database)
  const last = statements.lastRecord.get()
  const head: Position = { store: id, revision: Number(last?.['revision']), commitId: String(last?.['commit_id']) }
  return {
    ...{ deps, path, database, statements, id, horizonRevisions, head },
    incarnation: Number(meta('incarnation')),
    horizon: Number(meta('horizon')),
    mark: positionAt({ id, statements }, Number(last?.['mark'])) ?? head,
    recent: createRecent(head.revision),
    files: createFileGuard(deps, path),
  }
}

export function positionAt(
  { id, statements }: Pick<OpenSqlite, 'id' | 'statements'>,
  revision: number,
): Position | undefined {
  const record = statements.record.get(revision)
  return record && { store: id, revision, commitId: String(record['commit_id']) }
}

/** Lets other tasks run during a long read or write. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
