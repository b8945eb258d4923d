import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
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

const door = fileURLToPath(new URL('../../bin/zonemesh', import.meta.url))

/** Injects a fault into a compose project, as a user does on the host of the containers. */
export function chaosOn(
  project: string,
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(door, ['chaos', ...args, '--compose', project], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    const take = (text: Buffer) => {
      out += text.toString()
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('error', reject).once('close', (code) => resolve({ code, out }))
  })
}
