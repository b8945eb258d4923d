import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { RedisPlace } from './place.ts'

/** Whether Redis answers, as this process knows it. */
export interface RedisState {
  readonly phase: 'connected' | 'away'
  /** Why it does not answer; '' in phase `connected`. */
  readonly reason: string
  /** The wall clock of the last change of phase. */
  readonly sinceMs: number
}

export interface RedisCounts {
  /** Wake-ups that Redis has accepted, and those that could not be sent. */
  readonly sent: number
  readonly failed: number
  readonly received: number
  /** Messages that are no wake-up. */
  readonly ignored: number
  /** How often Redis answered again after it had not. */
  readonly reconnects: number
  /** Errors of connections, and commands that failed. */
  readonly errors: number
}

/** Whether Redis answers, and what was counted. Each change is logged once. */
export function createHealth(
  { clock, log }: { readonly clock: Pick<Clock, 'wallMs'>; readonly log: Log },
  place: RedisPlace,
) {
  const counts = { sent: 0, failed: 0, received: 0, ignored: 0, errors: 0 }
  let state: RedisState = { phase: 'away', reason: 'not connected yet', sinceMs: clock.wallMs() }
  let connections = 0
  function change(phase: RedisState['phase'], reason: string): void {
    if (state.phase === phase) return
    state = { phase, reason, sinceMs: clock.wallMs() }
    if (phase === 'connected') log.info({ redis: place.text }, 'Redis answers')
    else log.warn({ redis: place.text, reason }, 'Redis does not answer: the database alone wakes replicas')
  }
  return {
    now: (): RedisState => state,
    counts: (): RedisCounts => ({ ...counts, reconnects: Math.max(0, connections - 1) }),
    count(name: keyof typeof counts): void {
      counts[name] += 1
    },
    answers(): void {
      if (state.phase === 'away') connections += 1
      change('connected', '')
    },
    lose: (cause: unknown): void => change('away', messageOf(cause)),
  }
}
export type Health = ReturnType<typeof createHealth>
