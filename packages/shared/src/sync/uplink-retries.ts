import { messageOf } from '../base/base.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { type Attempts, backOffMs, type Failure, type Pause } from '../env/supervise.ts'
import type { Dialer } from '../transport/transport.ts'
import type { Goodbye, GoodbyeCode } from './log/messages.ts'
import type { StateKeeper } from './uplink-state.ts'

/** How a session, or the attempt to open one, ended. After `refused` the wait is long; otherwise it starts short. */
export interface Outcome {
  readonly refused: boolean
  readonly reason: string
  readonly wasConnected: boolean
  /** A newer session of the zone took its place. */
  readonly isFenced?: true
}

class SessionEnded extends Error {
  readonly outcome: Outcome
  constructor(outcome: Outcome) {
    super(outcome.reason)
    this.outcome = outcome
  }
}

const outcomeOf = (cause: unknown): Outcome =>
  cause instanceof SessionEnded ? cause.outcome : { refused: false, reason: messageOf(cause), wasConnected: false }

/** A global restarts within seconds, so the first retries follow fast and later ones slow down. Each wait is random. */
const backOffWhenLost = { minMs: 50, firstMaxMs: 500, maxMs: 5_000, quickTries: 5 }
const backOffWhenRefused = { minMs: 1_000, firstMaxMs: 5_000, maxMs: 5_000 }

interface Deps {
  readonly random: Random
  readonly log: Log
  readonly state: StateKeeper
  readonly dialer: Pick<Dialer, 'forget'>
}

export interface Retries extends Attempts<never> {
  /** Ends the pause before the next attempt. */
  hurry(): void
  /** Whether the session ends next in order to be replaced. No pause follows such an end. */
  expectMove(isExpected: boolean): void
}

/**
 * Decides when the zone dials again, and shows and logs the reason. Each attempt ends with an outcome and is followed by
 * another one. The pause between them depends on the outcome and on the number of failures.
 */
export function createRetries({ random, log, state, dialer }: Deps, openSession: () => Promise<Outcome>): Retries {
  let moving = false
  let hurry: (() => void) | undefined

  async function attempt(healthy: () => void): Promise<never> {
    const outcome = await openSession()
    if (outcome.wasConnected) healthy()
    throw new SessionEnded(outcome)
  }

  function judge({ cause, failures }: Failure): Pause {
    const { refused, reason, wasConnected } = outcomeOf(cause)
    if (!wasConnected) dialer.forget()
    const isMove = moving && wasConnected
    moving = false
    if (isMove) {
      state.change({ phase: 'connecting', reason, epoch: undefined })
      return { waitMs: 0 }
    }
    const waitMs = backOffMs(refused ? backOffWhenRefused : backOffWhenLost, failures, random.fraction())
    const again = state.latest.value.reason === reason && !wasConnected
    state.change({ phase: refused ? 'refused' : 'waiting', reason, epoch: undefined })
    const fields = { failures, waitMs: Math.round(waitMs) }
    if (again) log.debug(fields, 'still no session with the global')
    else
      log.warn(fields, `${refused ? 'the global and this zone do not agree' : 'no session with the global'}: ${reason}`)
    const hurried = new AbortController()
    hurry = () => hurried.abort()
    return { waitMs, hurry: hurried.signal }
  }

  return {
    attempt,
    judge,
    hurry: () => hurry?.(),
    expectMove(isExpected) {
      moving = isExpected
    },
  }
}

/** A goodbye counts as refused unless a retry soon is likely to succeed. */
export function refusedBy(goodbye: Goodbye, wasConnected: boolean): Outcome {
  const passing: readonly GoodbyeCode[] = ['shutdown', 'failed', 'fenced', 'gap']
  const refused = !passing.includes(goodbye.code)
  const fenced = goodbye.code === 'fenced' ? { isFenced: true as const } : {}
  return { refused, reason: goodbye.reason, wasConnected: wasConnected && !refused, ...fenced }
}
