import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Metrics } from './metrics/metrics.ts'
import { observeStore } from './metrics/observed-store.ts'

export interface Env {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Every running plane has metrics; commands and tests that only open a store need none. */
  readonly metrics?: Metrics
}

/**
 * Creates a folder and its parents, one by one: the recursion of Node never ends where nothing can be created, as in
 * /proc.
 */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (cause) {
    throw new Error(`cannot create the data folder ${path}: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Opens the store of a plane: the database in the settings, else a file in its data folder, else memory. `owner`
 * names the plane: only its replicas may share its database.
 */
export async function openStore(env: Env, config: StoreConfig, owner: string): Promise<Store> {
  const store = await openUnobserved(env, config, owner)
  const { clock, metrics } = env
  if (!metrics) return store
  metrics.set('zonemesh_store_durable', {}, config.store === undefined && config.dataDir === undefined ? 0 : 1)
  return observeStore(store, clock, metrics)
}

interface StoreConfig {
  readonly store?: string | undefined
  readonly dataDir?: string | undefined
  readonly historyRevisions: number
}

async function openUnobserved(env: Env, config: StoreConfig, owner: string): Promise<Store> {
  const { store: url, dataDir, historyRevisions: horizonRevisions } = config
  if (dataDir !== undefined) makeFolder(resolve(dataDir))
  if (url !== undefined) {
    if (dataDir === undefined)
      env.log.warn(
        {},
        'without --data-dir, each start creates new keys: the secrets in this store cannot be opened after a restart',
      )
    // Loaded late: a plane with a file needs no driver.
    const { openPostgresStore } = await import('@zonemesh/shared/store/postgres.ts')
    return openPostgresStore(env, { url, owner, horizonRevisions })
  }
  if (dataDir === undefined) return createMemoryStore(env, { horizonRevisions })
  return openSqliteStore(env, { path: join(dataDir, 'store.db'), horizonRevisions })
}

/** Runs `task` on each wake-up, one run at a time. A wake-up during a run causes one more run. Errors are logged. */
export function createReconciler(log: Log, what: string, task: () => Promise<void>) {
  let running: Promise<void> | undefined
  let again = false
  async function loop(): Promise<void> {
    // Runs in the next turn of the event loop, after the callers that wait for the same commit.
    await new Promise<void>((resolve) => setImmediate(resolve))
    do {
      again = false
      try {
        await task()
      } catch (thrown) {
        log.error({ err: thrown }, `cannot bring ${what} up to date`)
      }
    } while (again)
    running = undefined
  }
  return {
    wake(): Promise<void> {
      if (running) again = true
      else running = loop()
      return running
    },
    idle: (): Promise<void> => running ?? Promise.resolve(),
  }
}

/** How often a plane checks which authorities to renew. They are due half a month before they expire. */
export const renewalEveryMs = 3_600_000

/** Runs closers in the reverse order of their registration. An error does not prevent the others. */
export function createClosers(log: Log) {
  const closers: { readonly what: string; readonly close: () => unknown }[] = []
  return {
    add(what: string, close: () => unknown): void {
      closers.push({ what, close })
    },
    async close(): Promise<void> {
      for (const { what, close } of closers.splice(0).reverse()) {
        try {
          await close()
        } catch (thrown) {
          log.error({ err: thrown }, `cannot close ${what}`)
        }
      }
    },
  }
}
export type Closers = ReturnType<typeof createClosers>
