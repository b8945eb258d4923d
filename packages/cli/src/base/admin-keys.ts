import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { z } from 'zod'
import { isRunning, stateFolder } from './state-folder.ts'

const entrySchema = z.object({ key: z.string().min(1), pid: z.number().int() })
type Entry = z.infer<typeof entrySchema>

/**
 * The folder where the planes of a user store their admin keys for the commands of the same user, one file for each API
 * port.
 */
const folder = (): string => join(stateFolder(), 'admin-keys')

const fileOf = (port: number): string => join(folder(), `${port}.json`)

function readEntry(path: string): Entry | undefined {
  try {
    return entrySchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}

/**
 * Stores the admin key of a running plane, by API port, for commands of the same user. If that fails, the plane runs
 * anyway, and commands need --admin-key-file.
 */
export function publishAdminKey(log: Log, ports: readonly (number | undefined)[], key: string): Disposable {
  const files = ports.flatMap((port) => (port === undefined ? [] : [fileOf(port)]))
  try {
    mkdirSync(folder(), { recursive: true, mode: 0o700 })
    chmodSync(folder(), 0o700)
    removeEnded()
    for (const file of files) {
      const draft = `${file}.${process.pid}`
      writeFileSync(draft, JSON.stringify({ key, pid: process.pid }), { mode: 0o600 })
      renameSync(draft, file)
    }
  } catch (thrown) {
    log.warn(
      { reason: messageOf(thrown) },
      'commands on this machine need --admin-key-file: its place for them cannot be written',
    )
  }
  return {
    [Symbol.dispose]() {
      // Another plane may use the port by now.
      for (const file of files) if (readEntry(file)?.pid === process.pid) rmSync(file, { force: true })
    },
  }
}

/** Removes the keys of planes that were killed. */
function removeEnded(): void {
  for (const name of readdirSync(folder())) {
    const path = join(folder(), name)
    const entry = readEntry(path)
    if (entry && !isRunning(entry.pid)) rmSync(path, { force: true })
  }
}

/** The admin key of this user's plane with this API address; undefined if there is none. */
export function findAdminKey(address: URL): string | undefined {
  if (!isLoopback(address.hostname.replace(/^\[|\]$/g, ''))) return undefined
  const port = address.port === '' ? (address.protocol === 'https:' ? 443 : 80) : Number(address.port)
  return readEntry(fileOf(port))?.key
}
