import type { Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { SyncObserver } from '@zonemesh/shared/sync/observer.ts'

/** Counts and measures what the global learns of its zones. The log follows each revision at level debug. */
export const createSyncObserver = (metrics: Metrics, log: Log): SyncObserver => ({
  reached(zone, level, delayMs) {
    const name = level === 'stored' ? 'zonemesh_commit_to_stored_seconds' : 'zonemesh_commit_to_served_seconds'
    metrics.observe(name, { zone }, delayMs)
  },
  progressed: (zone, level, revision) => log.debug({ zone, revision }, `the zone has ${level} this revision`),
  held: (zone) => metrics.count('zonemesh_zone_holds_total', { zone }),
  connected(zone, isReconnect) {
    metrics.count('zonemesh_zone_sessions_total', { zone })
    if (isReconnect) metrics.count('zonemesh_zone_reconnects_total', { zone })
  },
  refused: (zone) => metrics.count('zonemesh_zone_sessions_refused_total', { zone }),
  callerRefused: () => metrics.count('zonemesh_sync_callers_refused_total', {}),
})
