import type { Clock } from './clock.ts'

/** Runs of one task, one at a time. */
export interface Turns extends Disposable {
  /** Runs the task after the runs that were asked for before. Resolves when this run has ended. */
  run(): Promise<void>
  /** Asks for a run after the gathering time. All calls within that time share one run. */
  soon(): void
  /** Resolves when the runs that were asked for have ended. */
  idle(): Promise<void>
}

/** A task must handle its own failures. Disposing cancels the run that `soon` asked for. */
export function createTurns(clock: Pick<Clock, 'after'>, gatherMs: number, task: () => Promise<void>): Turns {
  let running = Promise.resolve()
  let waiting: Disposable | undefined
  function run(): Promise<void> {
    running = running.then(task)
    return running
  }
  return {
    run,
    soon() {
      waiting ??= clock.after(gatherMs, () => {
        waiting = undefined
        void run()
      })
    },
    idle: () => running,
    [Symbol.dispose]: () => waiting?.[Symbol.dispose](),
  }
}
