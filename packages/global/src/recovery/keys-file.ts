import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { kinds } from '@zonemesh/core/registry.ts'
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

/** The files of the data folder that a recovered global needs, by what the keys file calls them. */
export const folderFiles = { sealKey: 'seal.key', certificate: 'ca.crt', key: 'ca.key' } as const

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

/**
 * Keeps beside the store one file with everything that zones do not hold: from it and from a zone a lost global is rebuilt. It is
 * plain, as the keys beside it are, with mode 0600: it is the key of the mesh, and is of use only as a copy in another place.
 */
export function createKeysFile({ store, clock, log }: Deps, dataDir: string) {
  const path = resolve(dataDir, keysFileName)
  const read = (name: string) => readFileSync(join(dataDir, name), 'utf8')

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
      // Of another store: the last way back to it is not overwritten.
      if (known.ok && known.value.store !== store.id) keepFormer(known.value)
      write(path, `${JSON.stringify({ ...next, writtenAt: new Date(clock.wallMs()).toISOString() }, null, 2)}\n`)
      const what = known.ok ? 'the recovery file was written anew' : 'the recovery file was written'
      log.info(
        { file: path },
        `${what}: with it and a zone a lost global is rebuilt (zonemesh global recover); keep a copy in a safe place, it is the key of the mesh`,
      )
    },
  }

  function keepFormer(former: RecoveryKeys): void {
    const kept = `${path}.${former.store}`
    renameSync(path, kept)
    log.warn({ file: kept }, 'the recovery file of another store was kept under this name')
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

/** Whole or not at all. */
function write(path: string, text: string): void {
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode: 0o600 })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}
