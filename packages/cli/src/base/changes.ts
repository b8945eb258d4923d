import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'

const everyMs = 500

/**
 * Resolves when the state of a plane may have changed, at the latest after half a second. Rejects with the signal's
 * reason if the signal aborts first. It only waits: the events of a plane do not cover its status.
 */
export const nextChange = (clock: Clock, signal: AbortSignal): Promise<void> => delay(clock, everyMs, signal)
