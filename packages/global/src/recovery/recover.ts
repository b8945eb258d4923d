import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { mesh } from '@zonemesh/core/kinds/mesh.ts'
import { enabledBackend } from '@zonemesh/core/kinds/mesh-spec.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { folderFiles } from '@zonemesh/plane/authority/folder-keys.ts'
import { createKeyFile } from '@zonemesh/plane/authority/key-file.ts'
import { requireKnownStore } from '@zonemesh/plane/identity-file.ts'
import { type Env, openStore } from '@zonemesh/plane/lifecycle.ts'
import { publicName, signingKeyOf } from '@zonemesh/plane/tokens/keys.ts'
import { globalOrigin, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'
import { keptKinds, type RecoveryKeys } from './keys-file.ts'
import { type Merged, mergeCopies, type ZoneCopy } from './merge.ts'

export interface RecoverConfig {
  readonly dataDir: string
  /** A database in place of a file in the data folder. */
  readonly store?: string | undefined
  readonly historyRevisions: number
}

export interface Recovered extends Merged {
  readonly kept: readonly Row[]
  /** One sentence each: what neither the zones nor the keys file had. */
  readonly missing: readonly string[]
}

/**
 * Makes the store of a lost global again, under its own id and with another history, so that zones know it and yet hold what it
 * says until somebody releases them. Its incarnation is above all that were seen: whatever it writes is newer than what zones hold.
 * Throws one sentence; nothing is left behind then.
 */
export async function recoverGlobal(
  env: Env,
  config: RecoverConfig,
  keys: RecoveryKeys,
  copies: readonly [ZoneCopy, ...ZoneCopy[]],
): Promise<Recovered> {
  const { dataDir } = config
  for (const { zone, position } of copies) {
    if (position.store !== keys.store)
      throw new Error(
        `expected zone ${zone} to hold rows of the store that the keys file is of, ${keys.store}, found ${position.store}`,
      )
  }
  if (existsSync(dataDir) && readdirSync(dataDir).length > 0)
    throw new Error(`expected ${dataDir} to be empty or not to exist, found something in it: move it away first`)
  const merged = mergeCopies(copies)
  try {
    const store = await openNew(env, config, keys.store)
    try {
      await fill(store, keys, merged)
      writeFolder(dataDir, keys)
      await requireKnownStore(env, store, { dataDir, role: 'global', accepts: false })
    } finally {
      await store.close()
    }
  } catch (thrown) {
    // The folder was empty, so all that is in it is ours.
    for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) rmSync(join(dataDir, name))
    throw thrown
  }
  return { ...merged, kept: keys.rows, missing: missing(keys, merged) }
}

/** A store draws its id once, when it is made, and draws no other: this one is given the id that zones know. */
async function openNew(env: Env, config: RecoverConfig, id: string): Promise<Store> {
  const store = await openStore({ ...env, random: { ...env.random, uuid: () => id } }, config, 'the global')
  if (store.id === id && (await store.head()).revision === 0) return store
  await store.close()
  throw new Error(`expected an empty database, found the store ${store.id} in it`)
}

async function fill(store: Store, keys: RecoveryKeys, { rows, newest }: Merged): Promise<void> {
  const all = [...rows.map(({ row }) => row), ...keys.rows]
  await store.raiseIncarnation(Math.max(keys.incarnation, ...all.map((row) => row.stamp.incarnation)) + 1)
  const changes = all.map(({ key, labels, spec }) => ({
    op: 'put' as const,
    key: { ...key, origin: globalOrigin },
    labels,
    spec,
  }))
  const why = {
    subject: 'mesh-system:control-plane',
    intent: `recovered from zone ${newest.zone} at revision ${newest.position.revision}`,
  }
  const outcome = await store.commitRound(partsOf(changes, [], why))
  if (!outcome.ok) throw new Error('the rows could not be written: the new store refused them')
}

function writeFolder(dataDir: string, { sealKey, authority }: RecoveryKeys): void {
  const contents = { [folderFiles.sealKey]: sealKey, [folderFiles.certificate]: authority.certificate }
  for (const [name, text] of Object.entries({ ...contents, [folderFiles.key]: authority.key }))
    createKeyFile(join(dataDir, name), text)
}

/** What was made after the copy of the keys file, or is held by nobody. */
function missing(keys: RecoveryKeys, { rows }: Merged): string[] {
  const roots = new Set(keys.rows.filter(({ key }) => key.kind === 'MeshRoot').map(({ key }) => key.mesh))
  const signing = new Set(
    keys.rows.flatMap(({ key }) => {
      const found = signingKeyOf(key)
      return found ? [publicName(found.purpose, found.mesh, found.kid)] : []
    }),
  )
  return [
    ...rows
      .filter(({ row }) => row.key.kind === mesh.name && enabledBackend(specOf(mesh, row) ?? {})?.type === 'builtin')
      .filter(({ row }) => !roots.has(row.key.name))
      .map(
        ({ row }) =>
          `the root authority of mesh ${row.key.name} is not in the keys file: a new one is made, which proxies of the former do not trust`,
      ),
    ...rows
      .filter(({ row }) => row.key.kind === 'TokenKey' && !signing.has(row.key.name))
      .map(({ row }) => `the token signing key ${row.key.name} is not in the keys file: the tokens it signed end`),
    `the history of the former store; ${keptKinds.join(', ')} that were written after the copy of the keys file was made`,
  ]
}
