import { type Clock, delay } from './clock.ts'

/** How long to wait after consecutive failures: a random time between `minMs` and a limit that doubles. */
export interface BackOff {
  readonly minMs: number
  /** The limit of the first `quickTries` waits, and of one more. */
  readonly firstMaxMs: number
  readonly maxMs: number
  /** Failures before the limit doubles for the first time. Default: 1. */
  readonly quickTries?: number
}

/**
 * `fraction` is a random number of the caller, so that callers that failed at the same time retry at different times.
 */
export function backOffMs({ minMs, firstMaxMs, maxMs, quickTries = 1 }: BackOff, failures: number, fraction: number) {
  const limitMs = Math.min(maxMs, firstMaxMs * 2 ** Math.max(0, failures - quickTries))
  return minMs + fraction * (limitMs - minMs)
}

export interface Failure {
  readonly cause: unknown
  /** The number of consecutive failures; 0 if the attempt was healthy before it failed. */
  readonly failures: number
}

export interface Pause {
  readonly waitMs: number
  /** Ends the pause early when aborted. */
  readonly hurry?: AbortSignal
}

export interface Attempts<T> {
  /**
   * One attempt, which may run for ever. It calls `healthy` when it has reached its goal, which resets the count of
   * failures.
   */
  attempt(healthy: () => void): Promise<T>
  /** Logs a failure and returns the pause before the next attempt. Throws if another attempt is useless. */
  judge(failure: Failure): Pause
}

/**
 * Repeats an attempt until it succeeds. An attempt throws on a fault. The caller's `judge` decides what the fault means
 * and logs it once. Rejects with the signal's reason if the signal is aborted when an attempt fails or during a pause.
 */
export async function supervise<T>(clock: Clock, { attempt, judge }: Attempts<T>, signal: AbortSignal): Promise<T> {
  let failures = 0
  for (;;) {
    let isHealthy = false
    try {
      return await attempt(() => {
        isHealthy = true
      })
    } catch (cause) {
      signal.throwIfAborted()
      failures = isHealthy ? 0 : failures + 1
      await rest(clock, judge({ cause, failures }), signal)
    }
  }
}

async function rest(clock: Clock, { waitMs, hurry }: Pause, signal: AbortSignal): Promise<void> {
  if (waitMs <= 0) return
  const ended = hurry ? AbortSignal.any([signal, hurry]) : signal
  await delay(clock, waitMs, ended).catch(() => signal.throwIfAborted())
}
