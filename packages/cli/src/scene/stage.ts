import { flagName } from '@zonemesh/plane/config/options.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import type { EchoService } from './echo-service.ts'
import { createProcesses, type Processes } from './processes.ts'

export const limitMs = 60_000

export interface Steps {
  /** Reports a step that has succeeded. */
  done(line: string): void
}

/** The state that all parts of a starting scene share. */
export interface Stage {
  /** Stores, logs, tokens and work folders of the scene. */
  readonly folder: string
  readonly processes: Processes
  readonly steps: Steps
  /** The services that run in this process, by their names. */
  readonly services: Map<string, EchoService>
  /** The port of this name; without a name, another free port. */
  port(name?: string): number
  /** Rejects if a process of the scene exits, or the scene is stopped, before the task is done. */
  orFail<T>(task: Promise<T>): Promise<T>
  onStop(close: () => unknown): void
  stop(): Promise<void>
}

export interface StageOptions {
  readonly folder: string
  readonly steps: Steps
  readonly port: (name?: string) => number
}

export function createStage({ folder, steps, port }: StageOptions, signal: AbortSignal): Stage {
  const processes = createProcesses(folder)
  const closing: (() => unknown)[] = []
  return {
    folder,
    processes,
    steps,
    services: new Map(),
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
