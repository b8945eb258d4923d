import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder for what the commands of a user leave for each other, by the rules of freedesktop.org. */
export const stateFolder = (environment: NodeJS.ProcessEnv = process.env): string =>
  join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'zonemesh')

/**
 * When a process started, by the kernel: another process with the same pid has another time. Empty if it has exited, or
 * if the system has no /proc.
 */
export function startTicks(pid: number): string {
  try {
    // The name of the command stands in parentheses and may contain spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return fields[0] === 'Z' ? '' : (fields[19] ?? '')
  } catch {
    return ''
  }
}

/** False once the process has exited. A process of another user counts as running. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || startTicks(pid) !== ''
  } catch (thrown) {
    return !(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')
  }
}
