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
  /** Goes on with another store than the data folder names. */
  readonly accepts: boolean
}

const waysOut =
  'restore a backup of its store, or rebuild it with `zonemesh global recover --from … --keys …`, ' +
  'or go on with this store by --accept-new-store'

/**
 * Beside the store stands which store it is: a plane that finds another one has lost its own, and must not pass off an empty store
 * as what everybody wants. A global does not serve then. A zone goes on: what is not its own it gets again, and what is begins a
 * new incarnation. Names no secret.
 */
export async function requireKnownStore(env: Env, store: Store, { dataDir, role, accepts }: Options): Promise<void> {
  if (dataDir === undefined) return
  const path = resolve(dataDir, 'identity.json')
  const known = read(path)
  if (!(known instanceof Error) && known?.store === store.id) return
  if (known !== undefined) {
    const expected =
      known instanceof Error
        ? `expected ${path} to name the store of this data folder, found ${known.message}`
        : `expected store ${known.store}, which ${path} names as this data folder's own, found ${await found(store)}`
    const isSafe = role !== 'global'
    if (!isSafe && !accepts) throw new Error(`${expected}: ${waysOut}`)
    env.log.warn({ store: store.id }, `${expected}; going on with it, as ${isSafe ? 'a zone can' : 'was asked for'}`)
  }
  write(path, { store: store.id, role, madeAt: new Date(env.clock.wallMs()).toISOString() })
}

const found = async (store: Store): Promise<string> =>
  (await store.head()).revision === 0 ? `a new and empty one (${store.id})` : `another one (${store.id})`

/** Undefined where there is none yet; an Error where it cannot be read. */
function read(path: string): Identity | Error | undefined {
  if (!existsSync(path)) return undefined
  try {
    return identitySchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    return new Error(cause instanceof z.ZodError ? 'other fields' : messageOf(cause), { cause })
  }
}

/** Whole or not at all, also if two processes of one database start at once. */
function write(path: string, identity: Identity): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(identity, null, 2)}\n`, { mode: 0o600 })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}
