import pg from 'pg'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { foundVersion, StoreOpenError, StoreUnavailableError } from './errors.ts'
import { type Ask, askOf, createClient, type PostgresPlace, reasonOf } from './postgres-connection.ts'

export interface SchemaDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** PostgreSQL no longer maintains older versions. */
const serverVersionMin = 150_000

/**
 * Keys compare by bytes, as in every store. Labels and specs are texts, because jsonb would lose the order of members.
 * `head` has one line, whose lock serializes commits. Its page has free space, so that a new version of the line stays
 * in the same page.
 */
const tables = (schema: string) => `
  CREATE TABLE ${schema}.meta (name text PRIMARY KEY, value text NOT NULL);
  CREATE TABLE ${schema}.head (
    only_line boolean PRIMARY KEY DEFAULT true CHECK (only_line), store text NOT NULL, incarnation bigint NOT NULL,
    horizon bigint NOT NULL, revision bigint NOT NULL, commit_id text NOT NULL, mark bigint NOT NULL,
    mark_commit_id text NOT NULL
  ) WITH (fillfactor = 10);
  CREATE TABLE ${schema}.records (
    revision bigint PRIMARY KEY, commit_id text NOT NULL, subject text NOT NULL, intent text NOT NULL, at_ms bigint NOT NULL,
    rows bigint NOT NULL, traceparent text
  );
  CREATE TABLE ${schema}.versions (
    key text COLLATE "C" NOT NULL, revision bigint NOT NULL, kind text COLLATE "C" NOT NULL,
    mesh text COLLATE "C" NOT NULL, state text NOT NULL, incarnation bigint NOT NULL, origin_revision bigint NOT NULL,
    created_at_ms bigint NOT NULL, modified_at_ms bigint NOT NULL, labels text, spec text, declared boolean,
    PRIMARY KEY (key, revision)
  );
  CREATE INDEX versions_by_revision ON ${schema}.versions (revision, key);
  CREATE INDEX versions_by_kind ON ${schema}.versions (kind, key);
  CREATE TABLE ${schema}.notes (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);
  INSERT INTO ${schema}.records VALUES (0, '0', '', '', 0, 0);
`

/** A change of the tables. */
export interface Migration {
  readonly statements: (schema: string) => string
  /**
   * The oldest schema version whose software can go on using the tables after this migration. In a fleet that is
   * upgraded replica by replica, and back, older replicas use the migrated tables.
   */
  readonly usableFrom: number
}

/** The migration from schema version n to n + 1 is at index n - 1. `tables` creates the newest version directly. */
export const ownMigrations: readonly Migration[] = [
  // The spans of traced commits. Older software names no column when it adds a record, so the new one stays empty.
  {
    statements: (schema) => `ALTER TABLE ${schema}.records ADD COLUMN IF NOT EXISTS traceparent text`,
    usableFrom: 1,
  },
]

/**
 * Connects once, creates the tables at the first start, migrates older ones, and returns the id of the store. A lock
 * makes replicas that start together prepare one after the other. `owner` is the expected owner: two planes that are
 * not replicas of each other must not share a schema. Throws StoreOpenError with one sentence.
 */
export async function prepareSchema(
  deps: SchemaDeps,
  place: PostgresPlace,
  owner: string | undefined,
  migrations: readonly Migration[] = ownMigrations,
): Promise<{ readonly id: string }> {
  const client = createClient(place)
  try {
    await client.connect()
    const ask = askOf(client, place)
    await requireServer(deps.log, ask, place)
    await ask({ text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' })
    await ask({ text: "SELECT pg_advisory_xact_lock(hashtext('zonemesh'), hashtext($1))" }, [place.schema])
    const id = await openTables(deps, ask, place, owner, migrations)
    await ask({ text: 'COMMIT' })
    return { id }
  } catch (thrown) {
    if (thrown instanceof StoreOpenError) throw thrown
    const cause = thrown instanceof Error && thrown.cause ? thrown.cause : thrown
    throw new StoreOpenError(sentence(place, cause), { cause })
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function requireServer(log: Log, ask: Ask, place: PostgresPlace): Promise<void> {
  const [found] = await ask({
    text: `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
      current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
      current_setting('synchronous_commit') AS synchronous`,
  })
  const wrong = (expected: string, actual: unknown) =>
    new StoreOpenError(`cannot open store ${place.text}: expected ${expected}, found ${actual}`)
  if (Number(found?.['number']) < serverVersionMin)
    throw wrong(`PostgreSQL ${serverVersionMin / 10_000} or newer`, found?.['version'])
  if (found?.['encoding'] !== 'UTF8') throw wrong('a database with encoding UTF8', found?.['encoding'])
  if (found['fsync'] === 'off' || found['synchronous'] === 'off')
    log.warn({ store: place.text }, 'this server acknowledges commits that a crash of its machine can undo')
}

async function openTables(
  { clock, random }: SchemaDeps,
  ask: Ask,
  place: PostgresPlace,
  owner: string | undefined,
  migrations: readonly Migration[],
): Promise<string> {
  const { schema, text } = place
  const schemaVersion = 1 + migrations.length
  const wrong = (expected: string, found: string) =>
    new StoreOpenError(`cannot open store ${text}: expected ${expected}, found ${found}`)
  const [seen] = await ask(
    {
      text: `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1::text) AS schema,
        (SELECT count(*) FROM pg_tables WHERE schemaname = $1::text) AS tables,
        to_regclass($1::text || '.meta') IS NOT NULL AND to_regclass($1::text || '.head') IS NOT NULL AS ours`,
    },
    [schema],
  )
  if (!seen?.['ours']) {
    if (Number(seen?.['tables']) > 0) throw wrong('a Zonemesh store or an empty schema', "another application's tables")
    // Created only if it is missing: an administrator may have created it for a user without that permission.
    if (!seen?.['schema']) await ask({ text: `CREATE SCHEMA ${schema}` })
    await ask({ text: tables(schema) })
    const id = random.uuid()
    const incarnation = Math.max(1, Math.floor(clock.wallMs()))
    await ask({ text: `INSERT INTO ${schema}.head VALUES (true, $1, $2, 0, 0, '0', 0, '0')` }, [id, incarnation])
    await ask({ text: `INSERT INTO ${schema}.meta VALUES ('schema', $1), ('usable-from', $2)` }, [
      schemaVersion,
      usableFromOf(migrations),
    ])
  }
  const meta = new Map((await ask({ text: `SELECT name, value FROM ${schema}.meta` })).map((one) => [one['name'], one]))
  const version = Number(meta.get('schema')?.['value'])
  // Newer software has migrated the tables, and states from which version on they can be used.
  const usableFrom = Number(meta.get('usable-from')?.['value'] ?? version)
  if (!(version >= 1 && (version <= schemaVersion || usableFrom <= schemaVersion)))
    throw wrong(`schema version ${schemaVersion}`, foundVersion(version, schemaVersion))
  await migrate(ask, place, { version, usableFrom }, migrations)
  const former = meta.get('owner')?.['value']
  if (owner !== undefined && former !== undefined && former !== owner)
    throw wrong(`a store of ${owner}`, `the one of ${former}; another schema can be named with ?schema=`)
  if (owner !== undefined && former === undefined)
    await ask({ text: `INSERT INTO ${schema}.meta VALUES ('owner', $1)` }, [owner])
  const [head] = await ask({ text: `SELECT store FROM ${schema}.head` })
  if (!head) throw wrong('a Zonemesh store', 'one whose head is missing')
  return String(head['store'])
}

const usableFromOf = (migrations: readonly Migration[]): number =>
  Math.max(1, ...migrations.map(({ usableFrom }) => usableFrom))

/**
 * A running process holds this lock, so that tables that it cannot use do not come into being beneath it. Its holder has
 * one connection for that, which listens to notifications as well.
 */
export const lockWhileOpen = (schema: string): string =>
  `SELECT pg_advisory_lock_shared(hashtext('zonemesh-open'), hashtext('${schema}'))`

async function requireAlone(ask: Ask, { schema, text }: PostgresPlace, version: number): Promise<void> {
  const lock = "SELECT pg_try_advisory_xact_lock(hashtext('zonemesh-open'), hashtext($1)) AS alone"
  const [found] = await ask({ text: lock }, [schema])
  if (found?.['alone']) return
  const expected = `expected no running replica of schema version ${version}, found one`
  const remedy = 'this version changes the tables in a way that it cannot use; stop all replicas, then start this one'
  throw new StoreOpenError(`cannot open store ${text}: ${expected}: ${remedy}`)
}

/** Throws, and reports it, if newer software has changed the tables so that this one cannot use them. */
export async function requireUsable(
  ask: Ask,
  { schema, text }: PostgresPlace,
  own: number,
  fail: (reason: Error) => void,
): Promise<void> {
  const [found] = await ask({ text: `SELECT value FROM ${schema}.meta WHERE name = 'usable-from'` })
  const usableFrom = Number(found?.['value'] ?? 0)
  if (usableFrom <= own) return
  const expected = `expected tables for schema version ${own}, found ones for ${usableFrom} or newer`
  const reason = new StoreUnavailableError(
    `cannot use store ${text}: ${expected}; start the version that changed them, or restore a backup from before`,
  )
  fail(reason)
  throw reason
}

async function migrate(
  ask: Ask,
  place: PostgresPlace,
  { version, usableFrom }: { readonly version: number; readonly usableFrom: number },
  migrations: readonly Migration[],
): Promise<void> {
  const { schema } = place
  const due = migrations.slice(version - 1)
  if (due.length === 0) return
  if (usableFromOf(due) > version) await requireAlone(ask, place, version)
  for (const { statements } of due) await ask({ text: statements(schema) })
  const set = `INSERT INTO ${schema}.meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
  await ask({ text: set }, ['schema', String(1 + migrations.length)])
  await ask({ text: set }, ['usable-from', String(Math.max(usableFrom, usableFromOf(due)))])
}

function sentence(place: PostgresPlace, cause: unknown): string {
  const start = `cannot open store ${place.text}: expected`
  const reason = reasonOf(cause)
  if (!(cause instanceof pg.DatabaseError)) return `${start} a PostgreSQL server that answers, found: ${reason}`
  switch (cause.code) {
    case '28P01':
    case '28000':
      return `${start} a user and password that the server accepts, found: ${reason}`
    case '3D000':
      return `${start} an existing database, found: ${reason}`
    case '42501':
      return `${start} a user that may create the schema and its tables, found: ${reason}`
    case '57P03':
      return `${start} a server that is ready, found: ${reason}`
    default:
      return `${start} a database that can be read and written, found: ${reason}`
  }
}
