import { existsSync, mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import type { Tracer } from '@zonemesh/shared/env/trace.ts'
import { joinElection, type Leadership, leadAlone } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import type { Origin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Metrics } from './metrics/metrics.ts'
import { observeStore } from './metrics/observed-store.ts'
import { showLead, showRedis } from './metrics/replicas.ts'
import { type RedisConfig, redisOpener } from './redis.ts'

export interface Env {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Every running plane has metrics; commands and tests that only open a store need none. */
  readonly metrics?: Metrics
  /** Default: nothing is traced. */
  readonly tracer?: Tracer
  /** The variables of the process, for tracing. Default: none. */
  readonly environment?: NodeJS.ProcessEnv
  /** Ends this plane, because what it has in memory no longer counts. Default: it continues with errors. */
  readonly fail?: (reason: Error) => void
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

interface StoreConfig extends RedisConfig {
  readonly store?: string | undefined
  readonly dataDir?: string | undefined
  readonly historyRevisions: number
}

interface OpenedStore {
  readonly store: Store
  /** The link to Redis, if the settings name one. */
  readonly redis: RedisLink | undefined
}

/**
 * Opens the store of a plane: the database in the settings, else a file in its data folder, else memory. `owner`
 * names the plane: only its replicas may share its database. `instance` is the name of this process.
 */
export async function openStore(env: Env, config: StoreConfig, process: OwnProcess): Promise<OpenedStore> {
  const opened = await openUnobserved(env, config, process)
  const { clock, metrics } = env
  if (!metrics) return opened
  metrics.set('zonemesh_store_durable', {}, config.store === undefined && config.dataDir === undefined ? 0 : 1)
  if (opened.redis) showRedis(metrics, opened.redis)
  return { ...opened, store: observeStore(opened.store, clock, metrics) }
}

interface OwnProcess {
  readonly owner: string
  readonly instance: string
}

async function openUnobserved(env: Env, config: StoreConfig, { owner, instance }: OwnProcess): Promise<OpenedStore> {
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
    const openRedis = await redisOpener(env, config, instance)
    let redis: RedisLink | undefined
    const wakeups = openRedis && ((store: string) => (redis = openRedis(store)))
    const store = await openPostgresStore(env, { url, owner, horizonRevisions, ...(wakeups ? { wakeups } : {}) })
    return { store, redis }
  }
  if (config.redis !== undefined)
    throw new Error('--redis: expected --store postgres://… too: only replicas over one database wake each other')
  if (dataDir === undefined) return { store: createMemoryStore(env, { horizonRevisions }), redis: undefined }
  const store = await openSqliteStore(env, { path: join(dataDir, 'store.db'), horizonRevisions })
  return { store, redis: undefined }
}

/** A name of this process that people read: no other process of this machine has it now. */
export const processName = (): string => `${hostname()}-${process.pid.toString(16)}`

/** A name of this process that no other process ever has. */
export const instanceName = ({ wallMs }: Pick<Clock, 'wallMs'>): string => `${processName()}-${wallMs()}`

interface LeadOptions {
  readonly origin: Origin
  readonly instance: string
  /** Other processes may use the store, so one of them is elected. */
  readonly isShared: boolean
}

/** The leadership of a plane, after its first look at the store. */
export async function openLeadership(
  env: Env,
  store: Store,
  { origin, instance, isShared }: LeadOptions,
  closers: Closers,
): Promise<Leadership> {
  const leadership = isShared ? joinElection({ ...env, store }, { origin, instance }) : leadAlone(instance)
  closers.add('the lead', () => leadership.close())
  if (env.metrics) {
    const shown = showLead(env.metrics, origin, leadership)
    closers.add('the metrics of the lead', () => shown[Symbol.asyncDispose]())
  }
  await leadership.settled
  return leadership
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
