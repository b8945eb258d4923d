import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'
import type { Env } from './lifecycle.ts'

const identitySchema = z.object({ store: z.string(), role: z.string(), madeAt: z.string() })
type Identity = z.infer<typeof identitySchema>

interface Options {
  readonly dataDir: string | undefined
  readonly role: 'global' | 'zone' | 'standalone'
  /** Continues even if the data folder names another store. */
  readonly accepts: boolean
}

const remedies =
  'restore a backup of its store, or rebuild it with `zonemesh global recover --from … --keys …`, ' +
  'or continue with this store by --accept-new-store'

/**
 * Compares the store with the file in the data folder that names it. A plane that finds another store has lost its
 * own. A global then refuses to serve, because zones must not take an empty store for deletions. A zone continues: it
 * receives the rows of other planes again, and begins a new incarnation for its own. The file contains no secret.
 */
export async function requireKnownStore(env: Env, store: Store, { dataDir, role, accepts }: Options): Promise<void> {
  if (dataDir === undefined) return
  const path = resolve(dataDir, 'identity.json')
  const identity = read(path)
  if (!(identity instanceof Error) && identity?.store === store.id) return
  if (identity !== undefined) {
    const expected =
      identity instanceof Error
        ? `expected ${path} to name the store of this data folder, found ${identity.message}`
        : `expected store ${identity.store}, which ${path} names as the store of this data folder, found ${await found(store)}`
    const isSafe = role !== 'global'
    if (!isSafe && !accepts) throw new Error(`${expected}: ${remedies}`)
    env.log.warn(
      { store: store.id },
      `${expected}; continuing with it, ${isSafe ? 'because a zone can recover its rows' : 'because of --accept-new-store'}`,
    )
  }
  write(path, { store: store.id, role, madeAt: new Date(env.clock.wallMs()).toISOString() })
}

const found = async (store: Store): Promise<string> =>
  (await store.head()).revision === 0 ? `a new and empty one (${store.id})` : `another one (${store.id})`

/** Returns undefined if there is no file yet, and an Error if it cannot be read. */
function read(path: string): Identity | Error | undefined {
  if (!existsSync(path)) return undefined
  try {
    return identitySchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    return new Error(cause instanceof z.ZodError ? 'other fields' : messageOf(cause), { cause })
  }
}

/** Writes the file atomically, also if two processes of one database start at once. */
function write(path: string, identity: Identity): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(identity, null, 2)}\n`, { mode: 0o600 })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}
