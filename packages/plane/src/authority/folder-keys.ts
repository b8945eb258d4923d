import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createKeyFile, readKeyFile, writeKeyFile } from './key-file.ts'
import { createSealer, readSealKey, type Sealer } from './seal.ts'
import { sealedKinds, sealedText } from './sealed-rows.ts'
import { openServerTls, type ServerTls } from './server-tls.ts'
import { keyPrints, putSharedPrints, sharedPrints, whereKeysAre } from './shared-keys.ts'
import { createRoot, lifetime } from './x509.ts'

/** The files of a data folder that cannot be created again, by their names in a recovery file. */
export const folderFiles = { sealKey: 'seal.key', certificate: 'ca.crt', key: 'ca.key' } as const

/** The file with which a caller proves that it can read the data folder. */
export const adminKeyFile = 'admin.key'

interface Deps {
  readonly clock: Clock
  readonly log: Log
}

interface Options {
  /** Without it, the keys are kept in memory. */
  readonly dataDir: string | undefined
  /** Further names for the server certificate. */
  readonly tlsHosts: readonly string[]
  readonly origin: string
  /** A file of the data folder with a copy of these keys. */
  readonly recoveryFile?: string
  /** Deletes the secrets that cannot be opened, instead of refusing to start. */
  readonly acceptLostSecrets: boolean
  /** Other processes may use the same store and must have the same keys. */
  readonly shared: boolean
}

interface FolderKeys {
  readonly sealer: Sealer
  readonly tls: ServerTls
  /**
   * A caller that can read this key is an administrator. It encrypts nothing in the store, so a lost one is replaced.
   */
  readonly adminKey: string
}

/**
 * Opens the keys of a data folder. The first start creates them. A lost key cannot be replaced, because the sealed
 * rows of the store and the trust of peers depend on it. So a folder that was in use must contain all keys, and they
 * must open all sealed rows. Otherwise throws one sentence and changes nothing.
 */
export async function openFolderKeys(env: Deps, store: Store, options: Options): Promise<FolderKeys> {
  const { dataDir, tlsHosts, recoveryFile } = options
  await requireCopiedKeys(store, options)
  const sealed = await sealedRows(store, options.origin)
  const hasRecoveryFile =
    dataDir !== undefined && recoveryFile !== undefined && readKeyFile(join(dataDir, recoveryFile)).text !== undefined
  const sealKey = await openFiles(env, dataDir, { isUsed: sealed.length > 0 || hasRecoveryFile, recoveryFile })
  const sealer = createSealer(sealKey)
  await requireOpen(env, store, sealer, sealed, options)
  const tls = await openServerTls(env, dataDir, tlsHosts)
  if (options.shared) await putSharedPrints(store, keyPrints(sealKey, tls.authority))
  return { sealer, tls, adminKey: openAdminKey(dataDir) }
}

/**
 * Throws if a process of a shared store has other keys: zones would not trust it, and it could not open the secrets.
 */
async function requireCopiedKeys(store: Store, { shared, dataDir, acceptLostSecrets }: Options): Promise<void> {
  const expected = shared && !acceptLostSecrets ? await sharedPrints(store) : undefined
  if (!expected) return
  if (dataDir === undefined)
    throw new Error(`expected --data-dir with the keys of this store, found none: ${await whereKeysAre(store)}`)
  const read = (name: string) => readKeyFile(join(dataDir, name)).text
  const [seal, certificate] = [read(folderFiles.sealKey), read(folderFiles.certificate)]
  if (seal === undefined && certificate === undefined && read(folderFiles.key) === undefined)
    throw new Error(`expected the keys of this store in ${dataDir}, found none: ${await whereKeysAre(store)}`)
  // `openFiles` reports a single missing file.
  if (seal === undefined || certificate === undefined) return
  const found = keyPrints(readSealKey(join(dataDir, folderFiles.sealKey), seal), certificate)
  const foreign = [
    ...(found.sealKey === expected.sealKey ? [] : [folderFiles.sealKey]),
    ...(found.authority === expected.authority ? [] : [folderFiles.certificate]),
  ]
  if (foreign.length > 0)
    throw new Error(
      `expected the keys of this store in ${dataDir}, found another ${foreign.join(' and another ')}: ${await whereKeysAre(store)}`,
    )
}

/** Requires the three files, or creates them. Returns the seal key. */
async function openFiles(
  { clock }: Deps,
  dataDir: string | undefined,
  { isUsed, recoveryFile }: { readonly isUsed: boolean; readonly recoveryFile: string | undefined },
): Promise<Buffer> {
  if (dataDir === undefined) return randomBytes(32)
  const paths = {
    seal: join(dataDir, folderFiles.sealKey),
    certificate: join(dataDir, folderFiles.certificate),
    key: join(dataDir, folderFiles.key),
  }
  const [seal, certificate, key] = [readKeyFile(paths.seal), readKeyFile(paths.certificate), readKeyFile(paths.key)]
  const wasServing = ['server.crt', 'server.key'].some((name) => existsSync(join(dataDir, name)))
  const refuse = (path: string, why: string, found: string, field: string) => {
    const copy = recoveryFile === undefined ? '' : `, or from "${field}" in a copy of ${recoveryFile}`
    return new Error(`expected ${path} ${why}, found ${found}: restore it from a backup of this folder${copy}`)
  }
  // The first start writes the files in the order seal key, key, certificate, so an interruption leaves no later one
  // alone.
  if (seal.text === undefined && (isUsed || wasServing || certificate.text !== undefined || key.text !== undefined))
    throw refuse(paths.seal, 'with the key that seals the secrets in the store', seal.found, 'sealKey')
  if (key.text === undefined && (isUsed || wasServing || certificate.text !== undefined))
    throw refuse(paths.key, `with the key of ${paths.certificate}`, key.found, 'authority.key')
  if (certificate.text === undefined && (isUsed || wasServing))
    throw refuse(paths.certificate, 'with the authority that peers trust', certificate.found, 'authority.certificate')

  const sealText = seal.text ?? createKeyFile(paths.seal, randomBytes(32).toString('base64'))
  if (certificate.text === undefined) {
    const root = await createRoot('zonemesh control plane', lifetime(clock.wallMs(), 3650))
    // An existing key is of an interrupted first start and has signed nothing.
    if (key.text === undefined) createKeyFile(paths.key, root.key)
    else writeKeyFile(paths.key, root.key)
    createKeyFile(paths.certificate, root.certificate)
  }
  for (const path of Object.values(paths)) chmodSync(path, 0o600)
  requirePair(paths)
  return readSealKey(paths.seal, sealText)
}

function openAdminKey(dataDir: string | undefined): string {
  const made = randomBytes(32).toString('base64url')
  if (dataDir === undefined) return made
  const path = join(dataDir, adminKeyFile)
  const key = readKeyFile(path).text ?? createKeyFile(path, `${made}\n`)
  chmodSync(path, 0o600)
  return key.trim()
}

function requirePair({ certificate, key }: { readonly certificate: string; readonly key: string }): void {
  const [crt = '', pem = ''] = [readKeyFile(certificate).text, readKeyFile(key).text]
  let isPair: boolean
  try {
    isPair = new X509Certificate(crt).checkPrivateKey(createPrivateKey(pem))
  } catch (cause) {
    throw new Error(`expected ${key} and ${certificate} in PEM, found a file that cannot be read: restore both`, {
      cause,
    })
  }
  if (!isPair)
    throw new Error(
      `expected ${key} to belong to ${certificate}, found the key of another authority: restore both from one backup of this folder`,
    )
}

/** The rows of this plane with sealed content. */
async function sealedRows(store: Store, origin: string): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const kind of sealedKinds) rows.push(...(await store.scan({ kind, origin })))
  return rows.filter((row) => sealedText(row) !== undefined)
}

function canOpen(sealer: Sealer, row: Row): boolean {
  try {
    sealer.open(sealedText(row) ?? '')
    return true
  } catch {
    return false
  }
}

const nameOf = ({ key: { kind, mesh, name } }: Row): string =>
  [kind, mesh, name].filter((part) => part !== '').join('/')

async function requireOpen(
  { log }: Deps,
  store: Store,
  sealer: Sealer,
  rows: readonly Row[],
  { dataDir, acceptLostSecrets }: Options,
): Promise<void> {
  const lost = rows.filter((row) => !canOpen(sealer, row))
  const [first] = lost
  if (!first) return
  if (!acceptLostSecrets) {
    const where = dataDir === undefined ? 'this plane, which has no --data-dir,' : join(dataDir, folderFiles.sealKey)
    throw new Error(
      `expected ${where} to open all ${rows.length} secrets in the store, found ${lost.length} that it cannot open (${nameOf(first)}${lost.length > 1 ? ', …' : ''}): ` +
        `restore the ${folderFiles.sealKey} of this store, or delete these secrets with --accept-lost-secrets`,
    )
  }
  const outcome = await store.commit({
    changes: lost.map(({ key }) => ({ op: 'delete', key })),
    subject: 'mesh-system:control-plane',
    intent: 'delete secrets that cannot be opened, because of --accept-lost-secrets',
    declared: true,
  })
  if (!outcome.ok)
    throw new Error(
      'cannot delete the secrets that cannot be opened: another process wrote to them at the same time; start again',
    )
  log.warn({ rows: lost.map((row) => keyText(row.key)) }, `deleted ${lost.length} secrets that seal.key cannot open`)
}
