import { readFileSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { writeAtomic } from '@zonemesh/dataplane/files.ts'
import { option, text } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'
import { startTicks } from './state-folder.ts'

const processSchema = z.object({
  name: z.string(),
  /** 0 while the process waits for its next start. */
  pid: z.number().int(),
  startedAtMs: z.number(),
  restarts: z.number().int(),
  logFile: z.string(),
})
export type SceneProcess = z.infer<typeof processSchema>

const runningSchema = z.object({
  pid: z.number().int(),
  /** When the process started, in ticks of the kernel: another process with the same pid has another time. */
  startTicks: z.string(),
  startedAtMs: z.number(),
  ready: z.boolean(),
  globalAddress: z.string(),
  /** The APIs of the zones, by zone. */
  zones: z.record(z.string(), z.string()),
  processes: z.array(processSchema),
})
/** A scene that `zonemesh up` runs. Its state is a file in the data folder, which other commands read. */
export type RunningState = z.infer<typeof runningSchema>

/** The options of the commands that work on a scene. */
export const sceneOptions = {
  file: option(text.default('zonemesh.yaml'), 'the scene file', {
    placeholder: 'FILE',
    short: 'f',
    shownDefault: 'zonemesh.yaml',
  }),
  dataDir: option(text.optional(), 'folder for stores, keys, logs and ports', {
    placeholder: 'DIR',
    shownDefault: '.zonemesh beside the scene file',
  }),
}

/** The data folder of a scene. */
export const dataFolderOf = ({
  file,
  dataDir,
}: {
  readonly file: string
  readonly dataDir: string | undefined
}): string => resolve(dataDir ?? join(dirname(file), '.zonemesh'))

const stateFile = (folder: string): string => join(folder, 'up.json')

/** Publishes the state of this process's scene. */
export const writeRunning = (folder: string, state: Omit<RunningState, 'pid' | 'startTicks'>): Promise<void> =>
  writeAtomic(
    stateFile(folder),
    `${JSON.stringify({ pid: process.pid, startTicks: startTicks(process.pid), ...state }, null, 2)}\n`,
  )

export const removeRunning = (folder: string): void => rmSync(stateFile(folder), { force: true })

/** The scene that runs with this data folder; undefined if none does. */
export function findRunning(folder: string): RunningState | undefined {
  try {
    const state = runningSchema.parse(JSON.parse(readFileSync(stateFile(folder), 'utf8')))
    process.kill(state.pid, 0)
    return startTicks(state.pid) === state.startTicks ? state : undefined
  } catch {
    // No file, a file of another version, or no such process.
    return undefined
  }
}

/** The scene that runs in the present folder. */
export const findSceneHere = (): RunningState | undefined =>
  findRunning(dataFolderOf({ file: 'zonemesh.yaml', dataDir: undefined }))
