import { spawnSync } from 'node:child_process'
import { commitTime, root } from './project.ts'

/** Runs a program of the build. Only its errors are shown. */
export function run(command: string, args: readonly string[], folder = root): void {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(commitTime()) }
  const { status, signal, error } = spawnSync(command, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 2] })
  if (error) throw new Error(`cannot run ${command}: ${error.message}`, { cause: error })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status ?? signal}`)
}
