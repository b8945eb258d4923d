import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { foundVersion, StoreOpenError } from './errors.ts'

/** "ZMST": distinguishes our files from other SQLite databases. */
const applicationId = 0x5a4d5354
const schemaVersion = 3
/** The write-ahead log is checkpointed at 16 MiB. A page that changes often before that is written to the file once. */
const checkpointPages = 4_000
/** How long an opening process waits for the lock of the former owner. */
const lockWaitMs = 500

/**
 * The table keeps versions in insertion order, and separate indexes have the keys. Rows are wide, and a table in key
 * order would rewrite a page for nearly every row.
 */
const versionsTable = `
  CREATE TABLE versions (
    key TEXT NOT NULL, revision INTEGER NOT NULL, kind TEXT NOT NULL, mesh TEXT NOT NULL, state TEXT NOT NULL,
    incarnation INTEGER NOT NULL, origin_revision INTEGER NOT NULL, created_at_ms INTEGER NOT NULL,
    modified_at_ms INTEGER NOT NULL, labels TEXT, spec TEXT, declared INTEGER,
    PRIMARY KEY (key, revision)
  );
`
/**
 * The spans of traced commits. It is a table of its own and part of no schema version, so that an older version, which
 * does not know it, still opens the file.
 */
const tracesTable = `
  CREATE TABLE IF NOT EXISTS traces (revision INTEGER PRIMARY KEY, traceparent TEXT NOT NULL);
`
const versionsIndexes = 'CREATE INDEX versions_by_revision ON versions (revision, key);'

const schema = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE records (
    revision INTEGER PRIMARY KEY, commit_id TEXT NOT NULL, subject TEXT NOT NULL, intent TEXT NOT NULL,
    at_ms INTEGER NOT NULL, rows INTEGER NOT NULL, mark INTEGER NOT NULL
  );
  CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  ${versionsTable}
  ${versionsIndexes}
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`

/** The migration from schema version n to n + 1 is at index n - 1. */
const steps = [
  `
  ALTER TABLE versions ADD COLUMN declared INTEGER;
  CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  ALTER TABLE versions RENAME TO former_versions;
  ${versionsTable}
  INSERT INTO versions SELECT key, revision, kind, mesh, state, incarnation, origin_revision, created_at_ms, modified_at_ms,
    labels, spec, declared FROM former_versions ORDER BY revision, key;
  DROP TABLE former_versions;
  ${versionsIndexes}
  `,
]

/**
 * Opens the file, or creates it with mode 0600, and owns it until it is closed. SQLite's exclusive lock excludes every
 * other process and ends with this process, even if it is killed. Throws StoreOpenError with one sentence.
 */
export function openSqliteFile(deps: { readonly clock: Clock; readonly random: Random }, path: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    createPrivately(path)
    database = new DatabaseSync(path, { timeout: lockWaitMs })
    // Exclusive before WAL: then the index of the log is in this process, and the lock is held from the first read.
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    database.exec('PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL')
    database.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`)
    database.exec('BEGIN IMMEDIATE')
    requireSound(database, path)
    prepareSchema(deps, database, path)
    database.exec(tracesTable)
    database.exec('COMMIT')
    return database
  } catch (cause) {
    database?.close()
    if (cause instanceof StoreOpenError) throw cause
    throw new StoreOpenError(sentence(path, cause), { cause })
  }
}

/** Finds a damaged page now, and not when it is first read. */
function requireSound(database: DatabaseSync, path: string): void {
  const found = String(database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'])
  if (found !== 'ok')
    throw new StoreOpenError(`cannot open store ${path}: expected a sound database, found it damaged (${found})`)
}

/** SQLite gives the journal files the mode of the database file. */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
  }
}

function prepareSchema(
  deps: { readonly clock: Clock; readonly random: Random },
  database: DatabaseSync,
  path: string,
): void {
  const pragma = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
  const found = { application: pragma('application_id'), version: pragma('user_version') }
  const tables = Number(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'])
  if (tables === 0 && found.application === 0) {
    database.exec(schema)
    const put = database.prepare('INSERT INTO meta (name, value) VALUES (?, ?)')
    put.run('store', deps.random.uuid())
    put.run('incarnation', Math.max(1, Math.floor(deps.clock.wallMs())))
    put.run('horizon', 0)
    database.prepare("INSERT INTO records VALUES (0, '0', '', '', 0, 0, 0)").run()
    return
  }
  if (found.application !== applicationId) {
    throw new StoreOpenError(
      `cannot open store ${path}: expected a Zonemesh store, found another application's SQLite database`,
    )
  }
  if (found.version < 1 || found.version > schemaVersion) {
    const newer = foundVersion(found.version, schemaVersion)
    throw new StoreOpenError(`cannot open store ${path}: expected schema version ${schemaVersion}, found ${newer}`)
  }
  for (const step of steps.slice(found.version - 1)) database.exec(step)
  if (found.version < schemaVersion) database.exec(`PRAGMA user_version = ${schemaVersion}`)
}

/** The primary result code of a SQLite error. */
export const sqliteCode = (cause: unknown): number | undefined =>
  cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) & 0xff : undefined

function sentence(path: string, cause: unknown): string {
  switch (sqliteCode(cause)) {
    case 5:
    case 6:
      return `cannot open store ${path}: expected to be its only user, found it locked by another process`
    case 8:
      return `cannot open store ${path}: expected a writable file, found it read-only`
    case 11:
      return `cannot open store ${path}: expected a sound database, found it damaged (${messageOf(cause)})`
    case 14:
      return `cannot open store ${path}: expected a file in an existing folder that this user may write, found none`
    case 26:
      return `cannot open store ${path}: expected a Zonemesh store, found a file that is not a database`
    default:
      return `cannot open store ${path}: expected a readable and writable database file, found: ${messageOf(cause)}`
  }
}
