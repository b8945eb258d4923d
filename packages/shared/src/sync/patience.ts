import type { Clock } from '../env/clock.ts'
import { type Failure, supervise } from '../env/supervise.ts'
import { StoreUnavailableError } from '../store/errors.ts'

const storeRetryMs = 1_000

export interface Patience {
  /** Runs the task, and repeats it while the store is not available. Other failures are thrown. */
  patiently<T>(task: () => Promise<T>): Promise<T>
  /** Why the store is not available; empty if it is. */
  blocked(): string
}

/**
 * A session survives a database that does not answer or a disk that is full: it repeats the operation every second
 * until `signal` is aborted. `changed` is called with each new reason, because a lag alone does not explain itself.
 */
export function createPatience(clock: Clock, signal: AbortSignal, changed: (reason: string) => void): Patience {
  /** The reason by task, because reads may work while writes fail. */
  const reasons = new Map<object, string>()
  const blocked = () => reasons.values().next().value ?? ''

  function set(task: object, reason: string): void {
    const before = blocked()
    if (reason === '') reasons.delete(task)
    else reasons.set(task, reason)
    const now = blocked()
    if (now !== before && !signal.aborted) changed(now)
  }

  async function patiently<T>(task: () => Promise<T>): Promise<T> {
    const judge = ({ cause }: Failure) => {
      if (!(cause instanceof StoreUnavailableError)) throw cause
      set(task, cause.message)
      return { waitMs: storeRetryMs }
    }
    try {
      return await supervise(clock, { attempt: task, judge }, signal)
    } finally {
      set(task, '')
    }
  }

  return { patiently, blocked }
}
