import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** The text of a key file. An empty file holds no key, so it counts as absent. */
export function readKeyFile(path: string): { readonly text: string | undefined; readonly found: string } {
  try {
    const text = readFileSync(path, 'utf8')
    return text.trim() === '' ? { text: undefined, found: 'an empty file' } : { text, found: 'a key' }
  } catch (thrown) {
    if (isCode(thrown, 'ENOENT')) return { text: undefined, found: 'no such file' }
    throw thrown
  }
}

/** Writes a file with mode 0600 and replaces the former one. A reader sees the whole old text or the whole new text. */
export function writeKeyFile(path: string, text: string): void {
  const draft = writeDraft(path, text)
  renameSync(draft, path)
  syncFolder(path)
}

/**
 * Creates a file with mode 0600. Returns the text that the file then holds: another process may have created it
 * first.
 */
export function createKeyFile(path: string, text: string): string {
  // A full disk may have left an empty file of an earlier attempt.
  if (readKeyFile(path).found === 'an empty file') rmSync(path, { force: true })
  const draft = writeDraft(path, text)
  try {
    linkSync(draft, path)
  } catch (thrown) {
    if (!isCode(thrown, 'EEXIST')) throw thrown
  } finally {
    rmSync(draft, { force: true })
  }
  syncFolder(path)
  return readFileSync(path, 'utf8')
}

function writeDraft(path: string, text: string): string {
  const draft = `${path}.${process.pid}.draft`
  rmSync(draft, { force: true })
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } catch (thrown) {
    rmSync(draft, { force: true })
    throw thrown
  } finally {
    closeSync(file)
  }
  return draft
}

/** Makes the name of a file durable. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

const isCode = (thrown: unknown, code: string): boolean =>
  thrown instanceof Error && 'code' in thrown && thrown.code === code
