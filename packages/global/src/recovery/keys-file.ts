import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { kinds } from '@zonemesh/core/registry.ts'
import { folderFiles } from '@zonemesh/plane/authority/folder-keys.ts'
import { writeKeyFile } from '@zonemesh/plane/authority/key-file.ts'
import { createSealer, readSealKey, type Sealer } from '@zonemesh/plane/authority/seal.ts'
import { sealedText } from '@zonemesh/plane/authority/sealed-rows.ts'
import { canonicalJson, err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { globalOrigin, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'

export const keysFileName = 'recovery.keys'
const format = 1

const rowSchema = z.object({
  key: z.object({ origin: z.string(), kind: z.string(), mesh: z.string(), name: z.string() }),
  stamp: z.object({
    incarnation: z.number(),
    originRevision: z.number(),
    createdAtMs: z.number(),
    modifiedAtMs: z.number(),
  }),
  labels: z.record(z.string(), z.string()),
  spec: z.record(z.string(), z.json()),
})
export const rowsSchema = z.array(rowSchema)

const keysSchema = z.object({
  format: z.literal(format),
  /** The id of the store, which zones compare. */
  store: z.string(),
  incarnation: z.number(),
  writtenAt: z.string(),
  /** The seal key of secrets, in base64. */
  sealKey: z.string(),
  /** The authority that zones trust by the pin in their join strings. */
  authority: z.object({ certificate: z.string(), key: z.string() }),
  rows: rowsSchema,
})
export type RecoveryKeys = z.infer<typeof keysSchema>

/** The kinds that zones never have, because they are not synced. */
export const keptKinds = kinds.filter((kind) => kind.travel === 'internal' && kind.adminOnly).map((kind) => kind.name)

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
}

/**
 * Keeps one file beside the store with everything that zones do not have. A lost global is rebuilt from this file and
 * from a zone. Like the keys beside it, the file is not encrypted and has mode 0600. It gives control of the mesh,
 * and it helps only if a copy is kept in another place.
 */
export function createKeysFile({ store, sealer, clock, log }: Deps, dataDir: string) {
  const path = resolve(dataDir, keysFileName)
  const read = (name: string) => readFileSync(join(dataDir, name), 'utf8')
  let loggedFault = ''

  return {
    async reconcile(): Promise<void> {
      const rows: Row[] = []
      for (const kind of keptKinds) rows.push(...(await store.scan({ kind, origin: globalOrigin })))
      const next: Omit<RecoveryKeys, 'writtenAt'> = {
        format,
        store: store.id,
        incarnation: store.incarnation,
        sealKey: read(folderFiles.sealKey).trim(),
        authority: { certificate: read(folderFiles.certificate), key: read(folderFiles.key) },
        // Rows are plain JSON, so the copy has the shape that the schema reads.
        rows: JSON.parse(JSON.stringify(rows)) as RecoveryKeys['rows'],
      }
      const former = readKeysFile(path)
      if (former.ok && canonicalJson({ ...former.value, writtenAt: '' }) === canonicalJson({ ...next, writtenAt: '' }))
        return
      if (!isSound(next)) return
      // Keeps a copy of a file of another store, or of a damaged one: it may be the only way to rebuild that store.
      if (former.ok && former.value.store !== store.id) keep(former.value.store, 'a recovery file of another store')
      else if (!former.ok && existsSync(path))
        keep(`unreadable-${clock.wallMs()}`, 'a recovery file that cannot be read')
      else if (former.ok) writeKeyFile(`${path}.previous`, readFileSync(path, 'utf8'))
      writeKeyFile(path, `${JSON.stringify({ ...next, writtenAt: new Date(clock.wallMs()).toISOString() }, null, 2)}\n`)
      const what = former.ok ? 'replaced the recovery file' : 'wrote the recovery file'
      log.info(
        { file: path },
        `${what}: a lost global can be rebuilt from this file and a zone (zonemesh global recover); keep a copy in a safe place, because it gives control of the mesh`,
      )
    },
  }

  /**
   * Whether the key in the file opens all its rows. A file with another key is useless and must not replace the
   * former file.
   */
  function isSound({ sealKey, rows }: Omit<RecoveryKeys, 'writtenAt'>): boolean {
    const fault = faultOf(sealer, sealKey, rows)
    if (fault !== undefined && fault !== loggedFault)
      log.error(
        { file: path, reason: fault },
        'did not replace the recovery file: the key of this folder does not open the rows in it',
      )
    loggedFault = fault ?? ''
    return fault === undefined
  }

  function keep(suffix: string, what: string): void {
    const kept = `${path}.${suffix}`
    renameSync(path, kept)
    log.warn({ file: kept }, `kept ${what} under this name`)
  }
}

/** The reason why a key does not open all these rows and what the sealer of this process seals; undefined if it does. */
function faultOf(sealer: Sealer, sealKey: string, rows: RecoveryKeys['rows']): string | undefined {
  try {
    const opener = createSealer(readSealKey(folderFiles.sealKey, sealKey))
    for (const row of rows) {
      const sealed = sealedText(row)
      if (sealed !== undefined) opener.open(sealed)
    }
    // The key in the memory of this process must be the same, because it seals the next row.
    opener.open(sealer.seal(''))
    return undefined
  } catch (thrown) {
    return messageOf(thrown)
  }
}

/** Reads a recovery file. The error is one sentence and reveals nothing of the content. */
export function readKeysFile(path: string): Result<RecoveryKeys, string> {
  if (!existsSync(path)) return err(`cannot read ${path}: there is no such file`)
  try {
    const parsed = keysSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
    if (parsed.success) return ok(parsed.data)
    const where = parsed.error.issues[0]?.path.join('.') ?? ''
    return err(`${path}: expected a recovery file of format ${format}, found another value at "${where}"`)
  } catch (thrown) {
    return err(`cannot read ${path}: ${thrown instanceof SyntaxError ? 'it is not JSON' : messageOf(thrown)}`)
  }
}
