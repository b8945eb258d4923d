import type { Env } from '@zonemesh/plane/lifecycle.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { createLog, type LogLevel } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

/** The real clock, randomness and log for a process that runs until it is stopped. */
export const createEnv = (level: LogLevel, name: string): Env => ({
  clock: systemClock,
  random: systemRandom,
  log: createLog({ level, name }),
})

/** Waits for SIGINT or SIGTERM, then closes. */
export async function untilStopped(env: Env, signal: AbortSignal, close: () => Promise<void>): Promise<void> {
  await untilAborted(signal)
  env.log.info({}, 'stopping')
  await close()
  env.log.info({}, 'stopped')
}
