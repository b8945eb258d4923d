import type { Env } from '@zonemesh/plane/lifecycle.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { createLog, type LogLevel } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

/** `failed` is aborted with the reason when the plane has to end by itself. */
export interface ProcessEnv extends Env {
  readonly failed: AbortSignal
}

/** The real clock, randomness and log for a process that runs until it is stopped. */
export function createEnv(level: LogLevel, name: string): ProcessEnv {
  const failure = new AbortController()
  return {
    clock: systemClock,
    random: systemRandom,
    log: createLog({ level, name }),
    environment: process.env,
    fail: (reason) => failure.abort(reason),
    failed: failure.signal,
  }
}

/** Waits for SIGINT or SIGTERM, then closes. If the plane fails, it closes and throws the reason. */
export async function untilStopped(env: ProcessEnv, signal: AbortSignal, close: () => Promise<void>): Promise<void> {
  await untilAborted(AbortSignal.any([signal, env.failed]))
  env.log.info({}, 'stopping')
  await close()
  env.log.info({}, 'stopped')
  if (!signal.aborted) env.failed.throwIfAborted()
}
