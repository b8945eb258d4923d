import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import { showExpiry } from '@zonemesh/plane/metrics/expiry.ts'
import type { Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { Expiry } from '@zonemesh/plane/status/expiry.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'
import type { ZoneStatus } from '@zonemesh/shared/sync/zone-status.ts'
import type { ZoneFigure } from '../limits/quotas.ts'

interface Deps {
  readonly store: Pick<Store, 'scan'>
  readonly sync: Pick<SyncServer, 'zones'>
  /** What each zone has stored. */
  readonly quotas: { figures(): readonly ZoneFigure[] }
  readonly limits: { refusedCount(zone: string): number }
  readonly expiry: Pick<Expiry, 'figures'>
}

/**
 * The figures of a global that are read at each scrape. They come from memory; the zones that exist are read from the
 * store only when a Zone changes. The series of a deleted Zone disappear, also if its session ends after its deletion.
 */
export function createGlobalFigures(metrics: Metrics, { store, sync, quotas, limits, expiry }: Deps) {
  let enabledByZone: ReadonlyMap<string, boolean> = new Map()
  const shown = new Set<string>()

  showExpiry(metrics, () => expiry.figures())
  metrics.onScrape(() => {
    const statuses = sync.zones()
    const figures = new Map(quotas.figures().map((figure) => [figure.zone, figure]))
    for (const [zone, isZoneEnabled] of enabledByZone) {
      showZone(metrics, zone, isZoneEnabled, statuses.get(zone))
      showStored(metrics, zone, figures.get(zone), limits.refusedCount(zone))
    }
    for (const zone of new Set([...shown, ...statuses.keys()])) if (!enabledByZone.has(zone)) metrics.forgetZone(zone)
    shown.clear()
    for (const zone of enabledByZone.keys()) shown.add(zone)
    metrics.set('zonemesh_zones', {}, enabledByZone.size)
    metrics.set('zonemesh_zones_connected', {}, [...statuses.values()].filter(({ connected }) => connected).length)
  })
  return {
    /** Reads the zones that exist. Called when a Zone has changed. */
    async reconcile(): Promise<void> {
      const rows = await store.scan({ kind: zoneKind.name, origin: globalOrigin })
      const enabled = new Map(parsedRows(zoneKind, rows).map(({ key, spec }) => [key.name, isEnabled(spec)]))
      enabledByZone = new Map(rows.map(({ key }) => [key.name, enabled.get(key.name) ?? false]))
    },
  }
}

const zoneCounters = [
  'zonemesh_zone_holds_total',
  'zonemesh_zone_releases_total',
  'zonemesh_zone_sessions_total',
  'zonemesh_zone_reconnects_total',
  'zonemesh_zone_sessions_refused_total',
] as const

function showZone(metrics: Metrics, zone: string, isZoneEnabled: boolean, status: ZoneStatus | undefined): void {
  const labels = { zone }
  // A counter that exists at 0 shows its first increase, too.
  for (const name of zoneCounters) metrics.count(name, labels, 0)
  metrics.set('zonemesh_zone_enabled', labels, isZoneEnabled ? 1 : 0)
  metrics.set('zonemesh_zone_connected', labels, status?.connected ? 1 : 0)
  metrics.set('zonemesh_zone_current', labels, status?.current ? 1 : 0)
  // What is not known of a zone that this process has not seen has no series.
  if (!status || status.epoch === 0) return
  const { lag, lagMs, blocked, clockAheadMs, holds, verdicts, counters } = status
  metrics.set('zonemesh_zone_lag_revisions', labels, lag)
  metrics.set('zonemesh_zone_lag_seconds', labels, lagMs / 1000)
  metrics.set('zonemesh_zone_blocked', labels, blocked === '' ? 0 : 1)
  metrics.set('zonemesh_zone_clock_ahead_seconds', labels, clockAheadMs / 1000)
  metrics.set('zonemesh_zone_changes_held', labels, holds.length)
  const quarantined = verdicts.filter(({ outcome }) => outcome === 'quarantined').length
  metrics.set('zonemesh_zone_rows_quarantined', labels, quarantined)
  const rejected = verdicts.filter(({ outcome }) => outcome === 'rejected').length
  metrics.set('zonemesh_zone_parts_refused', labels, rejected)
  metrics.set('zonemesh_zone_proxies', labels, counters.proxies)
  metrics.set('zonemesh_zone_proxies_connected', labels, counters.proxiesConnected)
}

function showStored(metrics: Metrics, zone: string, figure: ZoneFigure | undefined, refusedByLimits: number): void {
  if (figure) {
    metrics.set('zonemesh_zone_rows', { zone }, figure.rows)
    metrics.set('zonemesh_zone_bytes', { zone }, figure.bytes)
  }
  metrics.set('zonemesh_zone_rows_refused', { zone }, (figure?.refused ?? 0) + refusedByLimits)
}
