import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createLastKnown, type Known } from '@zonemesh/shared/env/last-known.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

const silentAfterMs = 500

/** Reads what a status shows of the store. If the store does not answer soon, the status shows what was known before. */
export function createStatusReader<Facts>(clock: Pick<Clock, 'after' | 'wallMs'>, read: () => Promise<Facts>) {
  const known = createLastKnown<Facts>(clock, { waitMs: silentAfterMs, keysMax: 1 })
  return () => known('', read)
}

/** The field of a status that states why the store takes no writes. */
export function storeFault(
  store: Pick<Store, 'fault'>,
  { silentSinceMs }: Pick<Known<unknown>, 'silentSinceMs'>,
): JsonObject {
  const silent =
    silentSinceMs === undefined
      ? undefined
      : `it has not answered since ${new Date(silentSinceMs).toISOString()}, and what this status shows of it is from that time`
  const fault = store.fault() ?? silent
  return fault === undefined ? {} : { storeFault: fault }
}
