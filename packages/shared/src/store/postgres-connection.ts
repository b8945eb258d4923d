import pg from 'pg'
import { messageOf } from '../base/base.ts'
import { StoreOpenError, StoreUnavailableError } from './errors.ts'

/** The place of a store: a schema of one database. */
export interface PostgresPlace {
  readonly config: pg.ClientConfig
  readonly schema: string
  /** For messages: without user and password. */
  readonly text: string
}

export type Found = Readonly<Record<string, unknown>>
export interface Statement {
  readonly text: string
  /** Prepared once per connection under this name. */
  readonly name?: string
}
/** Runs a statement and returns its rows. If the text has several statements, it returns the rows of the last one. */
export type Ask = (statement: Statement, values?: readonly unknown[]) => Promise<readonly Found[]>

const connectionsMax = 4
const connectWaitMs = 5_000
/**
 * The server aborts a long statement and an idle transaction, so that a hanging process does not hold the lock of the
 * head.
 */
const statementWaitMs = 10_000
/** How long we wait for any answer of the server. TCP alone would wait for a quarter of an hour. */
const answerWaitMs = 15_000

/**
 * Without statistics, the server would read and sort a whole table for each page instead of walking the ordered index.
 */
const planner = '-c enable_bitmapscan=off -c enable_sort=off'

/** Parses the address of a database, which may contain `?schema=`. Throws StoreOpenError without any secret. */
export function placeOf(url: string): PostgresPlace {
  const schema = new URLSearchParams(url.split('?')[1] ?? '').get('schema') ?? 'zonemesh'
  if (!/^[a-z_][a-z0-9_]{0,47}$/.test(schema)) {
    const expected = 'expected a schema of at most 48 lower-case letters, digits and underscores'
    throw new StoreOpenError(`cannot open store: ${expected}, found "${schema}"`)
  }
  const config = {
    connectionString: url,
    application_name: 'zonemesh',
    keepAlive: true,
    connectionTimeoutMillis: connectWaitMs,
    statement_timeout: statementWaitMs,
    lock_timeout: statementWaitMs,
    idle_in_transaction_session_timeout: statementWaitMs,
    query_timeout: answerWaitMs,
    options: planner,
  }
  try {
    const { host, port, database } = new pg.Client(config)
    return { config, schema, text: `postgres://${host}:${port}/${database ?? ''}?schema=${schema}` }
  } catch (cause) {
    // Without a cause: the original error contains the whole address with its password.
    throw new StoreOpenError(
      `cannot open store: expected an address such as postgres://user:password@host:5432/database, found: ${messageOf(cause)}`,
    )
  }
}

/** A separate connection outside the pool. */
export function createClient(place: PostgresPlace): pg.Client {
  const client = new pg.Client(place.config)
  // A pending query rejects with the same error. Without a listener this event would end the process.
  client.on('error', () => undefined)
  return client
}

export interface Database {
  /** Runs one statement on any connection. */
  readonly ask: Ask
  /**
   * Reserves a connection while `task` runs. If the task fails, the connection is closed, and the server rolls back.
   */
  session<T>(task: (ask: Ask) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/**
 * The connections that reads and commits share. The pool reconnects by itself after an outage of the server. `check`
 * may refuse a connection before a task uses it.
 */
export function createDatabase(
  place: PostgresPlace,
  check: (ask: Ask, isNew: boolean) => void | Promise<void>,
): Database {
  const pool = new pg.Pool({ ...place.config, max: connectionsMax, idleTimeoutMillis: 30_000 })
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))
  const checked = new WeakSet<pg.ClientBase>()

  async function session<T>(task: (ask: Ask) => Promise<T>): Promise<T> {
    const client = await pool.connect().catch((cause: unknown) => {
      throw failure(place, cause)
    })
    try {
      const ask = askOf(client, place)
      await check(ask, !checked.has(client))
      checked.add(client)
      const value = await task(ask)
      client.release()
      return value
    } catch (cause) {
      client.release(true)
      throw cause
    }
  }

  let ended: Promise<void> | undefined
  return {
    session,
    ask: (statement, values) => session((ask) => ask(statement, values)),
    close: () => {
      ended ??= pool.end()
      return ended
    },
  }
}

export function askOf(client: pg.ClientBase, place: PostgresPlace): Ask {
  return async (statement, values = []) => {
    try {
      // Values select the extended protocol, which accepts one statement only.
      const query = values.length > 0 ? { ...statement, values: [...values] } : statement
      // For several statements the driver returns a list of results, which its types do not declare.
      const result: pg.QueryResult<Found> | pg.QueryResult<Found>[] = await client.query<Found>(query)
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? []
    } catch (cause) {
      throw failure(place, cause)
    }
  }
}

/**
 * SQLSTATE classes of an outage: connection, resources, intervention, system, rollback; and codes of a read-only or
 * busy server.
 */
const outage = /^(08|53|57|58|40|25006|25P0[34]|55P03)/

/** Distinguishes a temporary outage from a fault. */
function failure(place: PostgresPlace, cause: unknown): Error {
  const isOutage = !(cause instanceof pg.DatabaseError) || outage.test(cause.code ?? '')
  if (isOutage) return new StoreUnavailableError(`store ${place.text} is not available: ${reasonOf(cause)}`, { cause })
  return new Error(`cannot use store ${place.text}: ${messageOf(cause)}`, { cause })
}

/** If several addresses were tried, the error has a code and no message. */
export function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return messageOf(cause) || code || 'no reason given'
}
