import { createInterface } from 'node:readline/promises'
import { CommandError } from './command.ts'

/** Asks on the terminal. Throws a usage error with the remedy if there is none, so that a script never waits. */
export async function confirm(question: string, remedy: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new CommandError(`nothing was written: ${remedy}`, 2)
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^(y|yes)$/i.test((await terminal.question(`${question} [y/N] `, { signal })).trim())
  } finally {
    terminal.close()
  }
}
