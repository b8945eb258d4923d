import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { isRunning, startTicks, stateFolder } from '../base/state-folder.ts'

const demosFolder = (): string => join(stateFolder(), 'demos')
const pidFile = 'pid'
const keptFile = 'kept'
const placesFile = 'demo.json'

const placesSchema = z.object({
  globalAddress: z.string(),
  tokenFile: z.string(),
  gateway: z.string(),
  host: z.string(),
  resolver: z.string(),
})
/** What another command needs from a running demo. */
export type DemoEnvironment = z.infer<typeof placesSchema>

/**
 * A new folder for the stores, logs and tokens of a demo, below the state folder of the user, which others cannot read.
 * The folders of demos that were killed are removed, unless they were to be kept.
 */
export function createDemoFolder(): string {
  const all = demosFolder()
  mkdirSync(all, { recursive: true, mode: 0o700 })
  for (const folder of demoFolders())
    if (!isAlive(folder) && !statSync(join(folder, keptFile), { throwIfNoEntry: false }))
      rmSync(folder, { recursive: true, force: true })
  const folder = mkdtempSync(join(all, 'zonemesh-demo-'))
  writeFileSync(join(folder, pidFile), `${process.pid} ${startTicks(process.pid)}`, { mode: 0o600 })
  return folder
}

/** From now on no later demo removes this folder. */
export const keepDemoFolder = (folder: string): void => writeFileSync(join(folder, keptFile), '', { mode: 0o600 })

export const publishDemo = (folder: string, places: DemoEnvironment): void =>
  writeFileSync(join(folder, placesFile), `${JSON.stringify(places)}\n`, { mode: 0o600 })

/** The folder of the newest demo that runs, and what it has published; undefined if none runs. */
export function findDemo(): { readonly folder: string; readonly places: DemoEnvironment } | undefined {
  const running = demoFolders().filter(isAlive)
  const found = running.flatMap((folder) => {
    const stat = statSync(join(folder, placesFile), { throwIfNoEntry: false })
    const places = stat && placesIn(folder)
    return places ? [{ folder, places, mtimeMs: stat.mtimeMs }] : []
  })
  return found.sort((a, b) => b.mtimeMs - a.mtimeMs)[0]
}

function demoFolders(): readonly string[] {
  try {
    return readdirSync(demosFolder()).map((name) => join(demosFolder(), name))
  } catch {
    return []
  }
}

function isAlive(folder: string): boolean {
  try {
    const [pid, ticks = ''] = readFileSync(join(folder, pidFile), 'utf8').split(' ')
    return isRunning(Number(pid)) && startTicks(Number(pid)) === ticks
  } catch {
    return false
  }
}

function placesIn(folder: string): DemoEnvironment | undefined {
  try {
    return placesSchema.parse(JSON.parse(readFileSync(join(folder, placesFile), 'utf8')))
  } catch {
    // A file of another version.
    return undefined
  }
}
