import { rename, writeFile } from 'node:fs/promises'

let serial = 0

/** Replaces a file atomically: a reader sees the whole old text or the whole new text. Only the owner can read it. */
export async function writeAtomic(file: string, text: string): Promise<void> {
  serial += 1
  const draft = `${file}.${process.pid}-${serial}`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, file)
}
