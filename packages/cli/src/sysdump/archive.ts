import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { CommandError } from '../base/command.ts'
import type { DumpFile } from './collect.ts'

const archiveBytesMax = 500_000_000

/** Writes files below one folder into a new `.tar.gz`, which only its owner can read. Throws a CommandError. */
export async function writeArchive(path: string, folder: string, files: readonly DumpFile[]): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'zonemesh-sysdump-'))
  try {
    for (const { name, content } of files) {
      const file = join(work, folder, name)
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      writeFileSync(file, content, { mode: 0o600 })
    }
    const options = { encoding: 'buffer', maxBuffer: archiveBytesMax } as const
    const { stdout } = await promisify(execFile)('tar', ['-cf', '-', '-C', work, folder], options)
    writeFileSync(path, gzipSync(stdout), { mode: 0o600, flag: 'wx' })
  } catch (thrown) {
    const exists = thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST'
    throw new CommandError(
      exists ? `${path} exists already; name another file` : `cannot write ${path}: ${messageOf(thrown)}`,
    )
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
