import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom, type Random } from '@zonemesh/shared/env/random.ts'
import { createHeap } from './heap.ts'

/** One simulated process. Its tasks run only while it lives. */
export interface Process {
  readonly name: string
  /** The clocks of the process: the wall clock may be set, the monotonic clock starts with the process. */
  readonly clock: Clock
  readonly random: Random
  readonly isAlive: () => boolean
  /** Runs `task` on its event loop after a delay of true time. */
  after(delayMs: number, task: () => void): Disposable
  sleep(delayMs: number): Promise<void>
  /** SIGKILL: none of its tasks runs any more, and its promises never settle. */
  kill(): void
  /** Blocks its event loop for this time. */
  stall(forMs: number): void
  onKill(listener: () => void): void
}

interface Task {
  atMs: number
  order: number
  readonly owner: Process | undefined
  readonly run: () => void
  cancelled: boolean
}

/** Resolves when all microtasks of the present turn have run. It is the only real waiting in a simulation. */
const drained = () => new Promise<void>((resolve) => setImmediate(resolve))

/**
 * Virtual time for many processes, from one seed. One event runs at a time, together with everything it causes; the
 * same seed gives the same order.
 */
export function createWorld(seed: number) {
  const random = createSeededRandom(seed)
  const heap = createHeap<Task>()
  const stalledUntil = new Map<Process, number>()
  const trace: string[] = []
  let nowMs = 0
  let order = 0
  let events = 0

  function schedule(delayMs: number, owner: Process | undefined, run: () => void): Disposable {
    order += 1
    const task: Task = { atMs: nowMs + Math.max(0, delayMs), order, owner, run, cancelled: false }
    heap.push(task)
    return {
      [Symbol.dispose]: () => {
        task.cancelled = true
      },
    }
  }

  function createProcess(name: string, wall: { offsetMs: number }): Process {
    const startMs = nowMs
    const killed: (() => void)[] = []
    let alive = true
    const own = createSeededRandom(Math.floor(random.fraction() * 2 ** 32))
    const after = (delayMs: number, run: () => void) => schedule(delayMs, process, run)
    const process: Process = {
      name,
      random: own,
      isAlive: () => alive,
      clock: {
        wallMs: () => Math.floor(epochMs + nowMs + wall.offsetMs),
        monotonicMs: () => nowMs - startMs,
        after,
      },
      after,
      sleep: (delayMs) => new Promise((resolve) => after(delayMs, resolve)),
      kill() {
        if (!alive) return
        alive = false
        note('killed', name)
        for (const listener of killed) listener()
      },
      stall: (forMs) => void stalledUntil.set(process, nowMs + forMs),
      onKill: (listener) => void killed.push(listener),
    }
    return process
  }

  function note(what: string, ...details: readonly (string | number | boolean | undefined)[]): void {
    trace.push(`${nowMs.toFixed(1)} ${what} ${details.join(' ')}`)
  }

  /** Runs all events up to this time. */
  async function runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const next = heap.peek()
      if (!next || next.atMs > untilMs) break
      heap.pop()
      if (next.cancelled || (next.owner && !next.owner.isAlive())) continue
      const stalled = next.owner ? (stalledUntil.get(next.owner) ?? 0) : 0
      if (stalled > next.atMs) {
        next.atMs = stalled
        heap.push(next)
        continue
      }
      nowMs = Math.max(nowMs, next.atMs)
      events += 1
      next.run()
      await drained()
    }
    nowMs = Math.max(nowMs, untilMs)
  }

  return {
    random,
    now: () => nowMs,
    events: () => events,
    trace,
    note,
    /** Schedules an event outside of any process. */
    at: (delayMs: number, run: () => void) => schedule(delayMs, undefined, run),
    createProcess,
    runUntil,
    drained,
  }
}
export type World = ReturnType<typeof createWorld>

/** The wall clock at the start, so that incarnations and certificates have realistic times. */
export const epochMs = 1_800_000_000_000
