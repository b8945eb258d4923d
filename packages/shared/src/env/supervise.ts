import { type Clock, delay } from './clock.ts'

/** How long to wait after failures in a row: a random time between `minMs` and a limit that doubles. */
export interface BackOff {
  readonly minMs: number
  /** The limit of the first `quickTries` waits, and of one more. */
  readonly firstMaxMs: number
  readonly maxMs: number
  /** Failures before the limit doubles for the first time. Default: 1. */
  readonly quickTries?: number
}

/** `fraction` comes from the caller's `Random`: callers that failed at the same moment return at different ones. */
export function backOffMs({ minMs, firstMaxMs, maxMs, quickTries = 1 }: BackOff, failures: number, fraction: number) {
  const limitMs = Math.min(maxMs, firstMaxMs * 2 ** Math.max(0, failures - quickTries))
  return minMs + fraction * (limitMs - minMs)
}

export interface Failure {
  readonly cause: unknown
  /** Failures in a row; 0 when the attempt was healthy before it failed. */
  readonly failures: number
}

export interface Pause {
  readonly waitMs: number
  /** Ends the pause early when it is aborted. */
  readonly hurry?: AbortSignal
}

export interface Attempts<T> {
  /** One attempt, which may last for ever. It calls `healthy` when it has reached what it is for: failures are then counted anew. */
  attempt(healthy: () => void): Promise<T>
  /** Logs a failure and returns the pause before the next attempt. Throws if another attempt is of no use. */
  judge(failure: Failure): Pause
}

/**
 * Repeats an attempt until it succeeds. What meets a fault throws; the caller of `supervise` decides in `judge` what the fault means, and
 * logs it there, once. Rejects with the signal's reason if the signal is aborted when an attempt fails or while it pauses.
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
