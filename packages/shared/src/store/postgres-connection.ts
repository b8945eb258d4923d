import pg from 'pg'
import { messageOf } from '../base/base.ts'
import { StoreOpenError, StoreUnavailableError } from './errors.ts'

/** Where a store is: a schema of one database. */
export interface PostgresPlace {
  readonly config: pg.ClientConfig
  readonly schema: string
  /** For people: without user and password. */
  readonly text: string
}

export type Found = Readonly<Record<string, unknown>>
export interface Statement {
  readonly text: string
  /** Prepared once per connection under this name. */
  readonly name?: string
}
/** Runs one statement and gives its rows; of several statements in one text, those of the last. */
export type Ask = (statement: Statement, values?: readonly unknown[]) => Promise<readonly Found[]>

const connectionsMax = 4
const connectWaitMs = 5_000
/** The server gives up a statement, or a transaction that says nothing: a process that hangs must not hold the head for ever. */
const statementWaitMs = 10_000
/** We give up a server that does not answer at all: TCP alone would wait for a quarter of an hour. */
const answerWaitMs = 15_000

/** Without statistics, the server would rather read and sort a whole table for each page than walk the index that has its order. */
const planner = '-c enable_bitmapscan=off -c enable_sort=off'

/** Reads the address of a database. The schema may stand in it as `?schema=`. Throws StoreOpenError without any secret. */
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
    // Not as its cause: errors of this kind carry the text that they are about, with its password.
    throw new StoreOpenError(
      `cannot open store: expected an address such as postgres://user:password@host:5432/database, found: ${messageOf(cause)}`,
    )
  }
}

/** One connection of its own, not from the pool. */
export function createClient(place: PostgresPlace): pg.Client {
  const client = new pg.Client(place.config)
  // What waits for an answer is told as well; without a listener the event would end the process.
  client.on('error', () => undefined)
  return client
}

export interface Database {
  /** One statement on any connection. */
  readonly ask: Ask
  /** A connection for as long as `task` runs. It is thrown away if that fails: the server then undoes what is unfinished. */
  session<T>(task: (ask: Ask) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** The few connections that reads and commits share. They come back by themselves after the server was away. */
export function createDatabase(place: PostgresPlace): Database {
  const pool = new pg.Pool({ ...place.config, max: connectionsMax, idleTimeoutMillis: 30_000 })
  pool.on('error', () => undefined)
  pool.on('connect', (client) => void client.on('error', () => undefined))

  async function session<T>(task: (ask: Ask) => Promise<T>): Promise<T> {
    const client = await pool.connect().catch((cause: unknown) => {
      throw failure(place, cause)
    })
    try {
      const value = await task(askOf(client, place))
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
      // Values make it the extended protocol, which takes one statement only.
      const query = values.length > 0 ? { ...statement, values: [...values] } : statement
      // Of several statements the driver gives a list of results, which its types do not say.
      const result: pg.QueryResult<Found> | pg.QueryResult<Found>[] = await client.query<Found>(query)
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? []
    } catch (cause) {
      throw failure(place, cause)
    }
  }
}

/** Names of classes of SQLSTATE: connection, resources, intervention, system; and a server that only reads for now. */
const outage = /^(08|53|57|58|40|25006|25P0[34]|55P03)/

/** What a failed statement is for its caller: an outage that passes, or a fault. */
function failure(place: PostgresPlace, cause: unknown): Error {
  const isOutage = !(cause instanceof pg.DatabaseError) || outage.test(cause.code ?? '')
  if (isOutage) return new StoreUnavailableError(`store ${place.text} is not available: ${reasonOf(cause)}`, { cause })
  return new Error(`cannot use store ${place.text}: ${messageOf(cause)}`, { cause })
}

/** When several addresses were tried, the error itself has a code and no message. */
export function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return messageOf(cause) || code || 'no reason given'
}
