import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { mesh } from '@zonemesh/core/kinds/mesh.ts'
import { enabledBackend } from '@zonemesh/core/kinds/mesh-spec.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { folderFiles } from '@zonemesh/plane/authority/folder-keys.ts'
import { createKeyFile } from '@zonemesh/plane/authority/key-file.ts'
import { requireKnownStore } from '@zonemesh/plane/identity-file.ts'
import { type Env, instanceName, openStore } from '@zonemesh/plane/lifecycle.ts'
import { publicName, signingKeyOf } from '@zonemesh/plane/tokens/keys.ts'
import { globalOrigin, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'
import { keptKinds, type RecoveryKeys } from './keys-file.ts'
import { type Merged, mergeCopies, type ZoneCopy } from './merge.ts'

export interface RecoverConfig {
  readonly dataDir: string
  /** A database instead of a file in the data folder. */
  readonly store?: string | undefined
  readonly historyRevisions: number
}

export interface Recovered extends Merged {
  readonly kept: readonly Row[]
  /** One sentence for everything that neither the zones nor the recovery file contained. */
  readonly missing: readonly string[]
}

/**
 * Rebuilds the store of a lost global with the same id and another history. Zones accept the id, and hold its rows
 * until an operator releases them. Its incarnation is higher than all known ones, so its rows are newer than the rows
 * in zones. Throws one sentence on failure and leaves nothing behind.
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
        `expected zone ${zone} to have rows of the store of the recovery file, ${keys.store}, found rows of ${position.store}`,
      )
  }
  if (existsSync(dataDir) && readdirSync(dataDir).length > 0)
    throw new Error(`expected ${dataDir} to be empty or absent, found files in it: move them away first`)
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
    // The folder was empty before, so all files in it are of this call.
    for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) rmSync(join(dataDir, name))
    throw thrown
  }
  return { ...merged, kept: keys.rows, missing: missing(keys, merged) }
}

/** Opens an empty store with a given id: a new store takes its id from `random.uuid`. */
async function openNew(env: Env, config: RecoverConfig, id: string): Promise<Store> {
  const naming = { ...env, random: { ...env.random, uuid: () => id } }
  const { store } = await openStore(naming, config, { owner: 'the global', instance: instanceName(env.clock) })
  if (store.id === id && (await store.head()).revision === 0) return store
  await store.close()
  throw new Error(`expected an empty database, found store ${store.id} in it`)
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
    intent: `recover from zone ${newest.zone} at revision ${newest.position.revision}`,
  }
  const outcome = await store.commitRound(partsOf(changes, [], why))
  if (!outcome.ok) throw new Error('cannot write the recovered rows: the new store refused them')
}

function writeFolder(dataDir: string, { sealKey, authority }: RecoveryKeys): void {
  const contents = { [folderFiles.sealKey]: sealKey, [folderFiles.certificate]: authority.certificate }
  for (const [name, text] of Object.entries({ ...contents, [folderFiles.key]: authority.key }))
    createKeyFile(join(dataDir, name), text)
}

/** Lists what was written after the copy of the recovery file, or exists in no copy. */
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
          `the root authority of mesh ${row.key.name} is not in the recovery file: the global creates a new one, which proxies do not trust at first`,
      ),
    ...rows
      .filter(({ row }) => row.key.kind === 'TokenKey' && !signing.has(row.key.name))
      .map(
        ({ row }) =>
          `the token signing key ${row.key.name} is not in the recovery file: the tokens that it signed become invalid`,
      ),
    `the history of the former store; rows of the kinds ${keptKinds.join(', ')} that were written after the copy of the recovery file was made`,
  ]
}
