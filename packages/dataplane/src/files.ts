import { rename, writeFile } from 'node:fs/promises'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

/** Replaces a file as a whole, readable by its owner only: a reader sees the old text or the new one. */
export async function writeAtomic(file: string, text: string): Promise<void> {
  const draft = `${file}.${systemRandom.uuid()}`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, file)
}
