import { join } from 'node:path'
import { flagName } from '@zonemesh/plane/config/options.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createProcesses, type Processes } from './processes.ts'
import { freePorts, type Scene } from './scene.ts'

export const demoFolder = join(process.env['ZONEMESH_ROOT'] ?? '.', 'demo')
export const local = '127.0.0.1'
export const limitMs = 60_000

export interface Steps {
  /** Reports a step that has succeeded. */
  done(line: string): void
}

/** The state that all parts of a starting demo share. */
export interface Stage {
  readonly scene: Scene
  readonly folder: string
  readonly processes: Processes
  readonly steps: Steps
  /** Values of `{{variables}}` in the YAML of the scene. */
  readonly variables: Readonly<Record<string, string>>
  readonly gatewayPort: number
  /** The next free port. */
  port(): number
  /** Rejects if a process of the demo exits, or the demo is stopped, before the task is done. */
  orFail<T>(task: Promise<T>): Promise<T>
  onStop(close: () => unknown): void
  stop(): Promise<void>
}

const portsOfDemo = 40

export async function createStage(scene: Scene, folder: string, steps: Steps, signal: AbortSignal): Promise<Stage> {
  const processes = createProcesses(folder)
  const closing: (() => unknown)[] = []
  const ports = await freePorts(systemRandom, portsOfDemo)
  const port = () => {
    const next = ports.pop()
    if (next === undefined) throw new Error(`invariant broken: a demo takes more than ${portsOfDemo} ports`)
    return next
  }
  const gatewayPort = port()
  const named = { ...scene, gatewayPort, version: scene.version1 }
  return {
    scene,
    folder,
    processes,
    steps,
    variables: Object.fromEntries(Object.entries(named).map(([key, value]) => [key, String(value)])),
    gatewayPort,
    port,
    orFail: (task) => Promise.race([task, processes.watch(), stopped(signal)]),
    onStop: (close) => void closing.push(close),
    async stop() {
      await processes.stop()
      for (const close of closing.reverse()) await close()
    },
  }
}

const stopped = (signal: AbortSignal): Promise<never> =>
  delay(systemClock, 2 ** 31 - 1, signal).then(() => new Promise<never>(() => {}))

/** `{ dataDir: 'x' }` → `--data-dir x`. */
export const flags = (values: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => [flagName(name), String(value)])
