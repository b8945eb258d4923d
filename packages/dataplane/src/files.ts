import { rename, writeFile } from 'node:fs/promises'

let serial = 0

/** Replaces a file as a whole, readable by its owner only: a reader sees the old text or the new one. */
export async function writeAtomic(file: string, text: string): Promise<void> {
  serial += 1
  const draft = `${file}.${process.pid}-${serial}`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, file)
}
