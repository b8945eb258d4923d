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
  /** The store that was lost, which zones know. */
  store: z.string(),
  incarnation: z.number(),
  writtenAt: z.string(),
  /** What secrets lie sealed with, base64. */
  sealKey: z.string(),
  /** What zones trust by the pin in their join strings. */
  authority: z.object({ certificate: z.string(), key: z.string() }),
  rows: rowsSchema,
})
export type RecoveryKeys = z.infer<typeof keysSchema>

/** What zones never hold: it does not travel. */
export const keptKinds = kinds.filter((kind) => kind.travel === 'internal' && kind.adminOnly).map((kind) => kind.name)

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
}

/**
 * Keeps beside the store one file with everything that zones do not hold: from it and from a zone a lost global is rebuilt. It is
 * plain, as the keys beside it are, with mode 0600: it is the key of the mesh, and is of use only as a copy in another place.
 */
export function createKeysFile({ store, sealer, clock, log }: Deps, dataDir: string) {
  const path = resolve(dataDir, keysFileName)
  const read = (name: string) => readFileSync(join(dataDir, name), 'utf8')
  let refused = ''

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
        // Rows are plain JSON; the copy is what the schema reads.
        rows: JSON.parse(JSON.stringify(rows)) as RecoveryKeys['rows'],
      }
      const known = readKeysFile(path)
      if (known.ok && canonicalJson({ ...known.value, writtenAt: '' }) === canonicalJson({ ...next, writtenAt: '' }))
        return
      if (!isSound(next)) return
      // The last way back to another store, or what somebody can still mend: a copy that stays.
      if (known.ok && known.value.store !== store.id) keep(known.value.store, 'the recovery file of another store')
      else if (!known.ok && existsSync(path))
        keep(`unreadable-${clock.wallMs()}`, 'a recovery file that cannot be read')
      else if (known.ok) writeKeyFile(`${path}.previous`, readFileSync(path, 'utf8'))
      writeKeyFile(path, `${JSON.stringify({ ...next, writtenAt: new Date(clock.wallMs()).toISOString() }, null, 2)}\n`)
      const what = known.ok ? 'the recovery file was written anew' : 'the recovery file was written'
      log.info(
        { file: path },
        `${what}: with it and a zone a lost global is rebuilt (zonemesh global recover); keep a copy in a safe place, it is the key of the mesh`,
      )
    },
  }

  /** True if the key in the file opens every row in it: a file that does not is worth nothing, and the one before is. */
  function isSound({ sealKey, rows }: Omit<RecoveryKeys, 'writtenAt'>): boolean {
    const fault = faultOf(sealKey, rows)
    if (fault !== undefined && fault !== refused)
      log.error({ file: path, reason: fault }, 'the recovery file stays as it is: a new one would not open')
    refused = fault ?? ''
    return fault === undefined
  }

  function faultOf(sealKey: string, rows: RecoveryKeys['rows']): string | undefined {
    try {
      const opener = createSealer(readSealKey(folderFiles.sealKey, sealKey))
      for (const row of rows) {
        const sealed = sealedText(row)
        if (sealed !== undefined) opener.open(sealed)
      }
      // The plane seals the next row with the key in its memory.
      opener.open(sealer.seal(''))
      return undefined
    } catch (thrown) {
      return messageOf(thrown)
    }
  }

  function keep(suffix: string, what: string): void {
    const kept = `${path}.${suffix}`
    renameSync(path, kept)
    log.warn({ file: kept }, `${what} was kept under this name`)
  }
}

/** Reads a keys file; the error is one sentence, and tells nothing of what is in it. */
export function readKeysFile(path: string): Result<RecoveryKeys, string> {
  if (!existsSync(path)) return err(`cannot read ${path}: there is no such file`)
  try {
    const parsed = keysSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
    if (parsed.success) return ok(parsed.data)
    const where = parsed.error.issues[0]?.path.join('.') ?? ''
    return err(`${path}: expected a recovery file of format ${format}, found another one at "${where}"`)
  } catch (thrown) {
    return err(`cannot read ${path}: ${thrown instanceof SyntaxError ? 'it is not JSON' : messageOf(thrown)}`)
  }
}
