import type { FaultHook } from './faults.ts'
import {
  type Ask,
  createDatabase,
  type Database,
  type Found,
  type PostgresPlace,
  placeOf,
} from './postgres-connection.ts'
import { createHistory, type History } from './postgres-history.ts'
import { type Migration, ownMigrations, prepareSchema, requireUsable, type SchemaDeps } from './postgres-schema.ts'
import { statementsOf } from './postgres-statements.ts'
import type { Position } from './store.ts'
import type { Wakeups } from './wakeups.ts'

export interface PostgresDeps extends SchemaDeps {
  readonly faultPoint?: FaultHook
  /** The store lacks commits that this process has seen, so the process must end. Every call of the store rejects. */
  readonly fail?: (reason: Error) => void
}

export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, with `?schema=` for another schema than "zonemesh". */
  readonly url: string
  /** The expected owner of the store. A store of another owner is not opened. */
  readonly owner?: string
  readonly horizonRevisions?: number
  /** Default: those of this build. Tests give those of a later one. */
  readonly migrations?: readonly Migration[]
  /** Opens a second way for wake-ups between the processes of the store with this id. */
  readonly wakeups?: (store: string) => Wakeups
}

/** An open store, which its reads and writes share. */
export interface OpenPostgres {
  readonly deps: PostgresDeps
  readonly place: PostgresPlace
  readonly sql: ReturnType<typeof statementsOf>
  readonly database: Database
  readonly history: History
  readonly id: string
  readonly horizonRevisions: number
  /** Aborted when the store is closed. */
  readonly closing: AbortController
  /** Reads the head. Concurrent callers share one read. */
  readHead(): Promise<Head>
  /** The incarnation of the last head that was read. */
  incarnation: number
}

/** The one line of the head table. */
export interface Head {
  readonly incarnation: number
  readonly horizon: number
  readonly head: Position
  readonly mark: Position
}

export async function openPostgres(deps: PostgresDeps, options: PostgresOptions): Promise<OpenPostgres> {
  const place = placeOf(options.url)
  const sql = statementsOf(place.schema)
  const { id } = await prepareSchema(deps, place, options.owner, options.migrations)
  const fail = deps.fail ?? (() => undefined)
  const history = createHistory(place, sql, fail)
  const own = 1 + (options.migrations ?? ownMigrations).length
  /** After an outage, the server may be another one, or its tables may have changed meanwhile. */
  async function requireSame(ask: Ask): Promise<void> {
    await requireUsable(ask, place, own, fail)
    await history.require(ask)
  }
  const database = createDatabase(place, (ask, isNew) => (isNew ? requireSame(ask) : history.requireNothingLost()))
  const opened: OpenPostgres = {
    ...{ deps, place, sql, database, history, id },
    horizonRevisions: options.horizonRevisions ?? 20_000,
    closing: new AbortController(),
    readHead: shareReads(async () => headFrom(opened, (await database.ask(sql.head))[0])),
    incarnation: 0,
  }
  return opened
}

/**
 * Reads the line of the head table, and with it the incarnation. Throws if the store is not the one that was opened, or
 * has another history.
 */
export function headFrom(opened: OpenPostgres, found: Found | undefined): Head {
  const { id, place, history } = opened
  const store = String(found?.['store'])
  if (store !== id) {
    const expected = `cannot use store ${place.text}: expected store ${id}`
    throw new Error(`${expected}, found ${found ? store : 'none'}: it was replaced; start this control plane again`)
  }
  const incarnation = Number(found?.['incarnation'])
  opened.incarnation = incarnation
  const at = (revision: string, commitId: string) => ({
    store,
    revision: Number(found?.[revision]),
    commitId: String(found?.[commitId]),
  })
  const head = at('revision', 'commit_id')
  history.saw(head)
  return {
    ...{ incarnation, head },
    horizon: Number(found?.['horizon']),
    mark: at('mark', 'mark_commit_id'),
  }
}

/** Callers during a read share the next read. Each caller gets the state at the time of its call or a newer one. */
function shareReads<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const start = () => {
    next = undefined
    const mine = read().finally(() => {
      if (running === mine) running = undefined
    })
    running = mine
    return mine
  }
  return () => {
    if (!running) return start()
    next ??= running.then(start, start)
    return next
  }
}
