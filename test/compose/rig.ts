import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const maxBuffer = 64 * 1024 * 1024

/** Runs `docker` and returns its output, that of stderr before that of stdout. */
export async function docker(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('docker', args, { maxBuffer })
  return `${stderr}${stdout}`.trim()
}

/** Runs `docker compose` in the checkout and returns its output. */
export async function compose(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('docker', ['compose', ...args], { maxBuffer })
  return stdout
}
