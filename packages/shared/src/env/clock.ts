import { performance } from 'node:perf_hooks'

/**
 * Time as a dependency. The wall clock is for displayed times and certificates, the monotonic clock for leases and
 * delays.
 */
export interface Clock {
  /** Milliseconds since 1970. May jump. */
  wallMs(): number
  /** Milliseconds since a fixed time. Never decreases. */
  monotonicMs(): number
  /** Runs `task` once after `delayMs`; disposing cancels it. */
  after(delayMs: number, task: () => void): Disposable
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, task) {
    let leftMs = Math.max(0, delayMs)
    let timer = wait()
    function wait(): NodeJS.Timeout {
      const stepMs = Math.min(longestMs, leftMs)
      leftMs -= stepMs
      return setTimeout(leftMs > 0 ? again : task, stepMs)
    }
    function again(): void {
      timer = wait()
    }
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}

/** The longest delay of Node's timers, about 24 days. With a longer one Node runs the task at once. */
const longestMs = 2 ** 31 - 1

/**
 * Runs `task` repeatedly until disposed: first after `firstMs`, then each time `everyMs` after the last run has ended.
 * A task must handle its own failures.
 */
export function repeat(
  clock: Pick<Clock, 'after'>,
  everyMs: number,
  task: () => unknown,
  firstMs: number = everyMs,
): Disposable {
  let isDisposed = false
  let timer = clock.after(firstMs, run)
  async function run(): Promise<void> {
    await task()
    if (!isDisposed) timer = clock.after(everyMs, run)
  }
  return {
    [Symbol.dispose]() {
      isDisposed = true
      timer[Symbol.dispose]()
    },
  }
}

/** Resolves after `delayMs`. Rejects with the signal's reason if the signal aborts first. */
export function delay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const timer = clock.after(delayMs, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    const stop = () => {
      timer[Symbol.dispose]()
      reject(signal.reason)
    }
    signal.addEventListener('abort', stop, { once: true })
  })
}

/** A clock that moves only by `advance`, which runs the due tasks in order of time. */
export function createVirtualClock(startMs = 0): Clock & { advance(byMs: number): void } {
  let nowMs = startMs
  let order = 0
  const tasks = new Set<{ atMs: number; order: number; run: () => void }>()
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      order += 1
      const task = { atMs: nowMs + delayMs, order, run }
      tasks.add(task)
      return { [Symbol.dispose]: () => void tasks.delete(task) }
    },
    advance(byMs) {
      const endMs = nowMs + byMs
      for (;;) {
        const due = [...tasks]
          .filter((task) => task.atMs <= endMs)
          .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
        if (!due) break
        tasks.delete(due)
        nowMs = Math.max(nowMs, due.atMs)
        due.run()
      }
      nowMs = endMs
    },
  }
}
