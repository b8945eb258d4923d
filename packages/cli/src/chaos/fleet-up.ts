import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CommandError } from '../base/command.ts'
import { servicesOf } from './containers.ts'

/** The compose project of the fleet, and its files in the checkout. */
export const fleetProject = 'zonemesh'
const files = ['docker-compose.yml', 'compose.chaos.yml']
const root = process.env['ZONEMESH_ROOT'] ?? '.'

/**
 * Starts the fleet of the checkout with a relay in the line of each zone, if its project has no containers. Returns what
 * removes it with its volumes, or undefined if it ran before.
 */
export async function startFleet(
  note: (line: string) => void,
  signal: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  const services = await servicesOf(fleetProject)
  if (services.includes('relay')) return undefined
  if (services.length > 0)
    throw new CommandError(
      `the compose project "${fleetProject}" runs without relays, so nothing can inject faults; remove it with all its data (docker compose down -v), and this command starts it with relays`,
    )
  const missing = files.find((file) => !existsSync(join(root, file)))
  if (missing !== undefined)
    throw new CommandError(
      `the compose project "${fleetProject}" does not run, and this installation has no ${missing}: run the command in a checkout of Zonemesh`,
    )
  note('starting the fleet with docker compose; the first time, this builds the image and takes some minutes')
  const remove = () => compose(['down', '--volumes', '--timeout', '5'], () => undefined)
  try {
    await compose(['up', '--build', '--detach', '--wait'], note, signal)
  } catch (thrown) {
    await remove().catch(() => undefined)
    throw thrown
  }
  return remove
}

/** Runs `docker compose` on the files of the fleet, and passes on each line of its progress. */
function compose(args: readonly string[], note: (line: string) => void, signal?: AbortSignal): Promise<void> {
  const words = [...files.flatMap((file) => ['--file', join(root, file)]), '--progress', 'plain', ...args]
  return new Promise((resolve, reject) => {
    const child = spawn('docker', ['compose', ...words], {
      ...{ stdio: ['ignore', 'ignore', 'pipe'], ...(signal ? { signal } : {}) },
    })
    let last = ''
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.trim() !== '') last = line.trim()
      note(line)
    })
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0
        ? resolve()
        : reject(new CommandError(`docker compose ${args[0]} failed (exit code ${code}): ${last}`)),
    )
  })
}
