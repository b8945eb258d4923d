import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'

const everyMs = 500

/**
 * Resolves when the state of a plane may have changed, at the latest after half a second. Rejects with the signal's
 * reason if the signal aborts first. Today it only waits: no plane reports its changes yet.
 */
export const nextChange = (clock: Clock, signal: AbortSignal): Promise<void> => delay(clock, everyMs, signal)
