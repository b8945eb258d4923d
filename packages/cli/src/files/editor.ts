import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'

/** The editor of the user, as git and kubectl find it: a command with its arguments. */
export const editorOf = (environment: NodeJS.ProcessEnv): string =>
  environment['VISUAL'] || environment['EDITOR'] || 'vi'

/** A text in a file that only its owner reads. Disposing it removes the file, unless it is kept. */
export interface Draft extends Disposable {
  readonly path: string
  read(): string
  keep(): void
  isKept(): boolean
}

/** Writes a text into a folder of its own below the folder for temporary files. */
export function createDraft(name: string, text: string): Draft {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-edit-'))
  chmodSync(folder, 0o700)
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  let isKept = false
  return {
    path,
    read: () => readFileSync(path, 'utf8'),
    keep() {
      isKept = true
    },
    isKept: () => isKept,
    [Symbol.dispose]() {
      if (!isKept) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Opens a file in an editor on this terminal and waits for its end. Returns the reason if it failed. */
export async function openEditor(editor: string, path: string): Promise<string | undefined> {
  const ended = Promise.withResolvers<string | undefined>()
  // The setting is a command of a shell, such as `code --wait`. The path is passed as an argument, not as its text.
  const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' })
  child.on('error', (thrown) => ended.resolve(messageOf(thrown)))
  child.on('exit', (code, signal) => ended.resolve(code === 0 ? undefined : `it ended with ${code ?? signal}`))
  const fault = await ended.promise
  return fault && `the editor "${editor}" failed: ${fault}; choose another one with EDITOR`
}
