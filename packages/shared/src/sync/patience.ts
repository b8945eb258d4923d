import type { Clock } from '../env/clock.ts'
import { type Failure, supervise } from '../env/supervise.ts'
import { StoreUnavailableError } from '../store/errors.ts'

const storeRetryMs = 1_000

export interface Patience {
  /** Does it, and again while the store is not available; other failures are the caller's. */
  patiently<T>(task: () => Promise<T>): Promise<T>
  /** Why the store does not do what it was asked; empty: it does. */
  blocked(): string
}

/**
 * A database that is away, or a disk that is full, for a while ends no session: what the store was asked is asked again every second
 * until `signal` is aborted. `changed` hears when the reason is another one, as "behind" alone would tell nobody why.
 */
export function createPatience(clock: Clock, signal: AbortSignal, changed: (reason: string) => void): Patience {
  /** By task: reads may work while writes do not. */
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
