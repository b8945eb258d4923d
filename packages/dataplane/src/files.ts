import { rename, writeFile } from 'node:fs/promises'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

/** Replaces a file atomically: a reader sees the whole old text or the whole new text. Only the owner can read it. */
export async function writeAtomic(file: string, text: string): Promise<void> {
  const draft = `${file}.${systemRandom.uuid()}`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, file)
}
