import type { Compiler } from '@zonemesh/core/compile/compiler.ts'
import { showExpiry } from '@zonemesh/plane/metrics/expiry.ts'
import type { Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { Expiry } from '@zonemesh/plane/status/expiry.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Uplink } from '@zonemesh/shared/sync/uplink.ts'
import { isCurrent, type UplinkState } from '@zonemesh/shared/sync/uplink-state.ts'
import type { Engine } from '../engine/engine.ts'
import type { Progress } from '../engine/progress.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Refusals } from '../refusals/refusals.ts'

interface Deps {
  readonly compiler: Pick<Compiler, 'counters'>
  readonly engine: Pick<Engine, 'liveCount'>
  readonly progress: Pick<Progress, 'read'>
  readonly quarantine: Pick<Quarantine, 'count'>
  readonly refusals: Pick<Refusals, 'verdicts'>
  readonly expiry: Pick<Expiry, 'figures'>
}

/** The figures of a zone that are read at each scrape, from memory. */
export function showZone(metrics: Metrics, deps: Deps): void {
  showExpiry(metrics, () => deps.expiry.figures())
  metrics.onScrape(() => {
    metrics.total('zonemesh_units_compiled_total', {}, deps.compiler.counters.unitsCompiled)
    metrics.set('zonemesh_proxies_connected', {}, deps.engine.liveCount())
    metrics.set('zonemesh_proxies_silent', {}, deps.progress.read().silent.length)
    metrics.set('zonemesh_rows_quarantined', {}, deps.quarantine.count())
    metrics.set('zonemesh_parts_refused', {}, deps.refusals.verdicts().length)
  })
}

/** Shows the session with the global. Replicas of the leader are on standby: they have none. */
export function showUplink(
  metrics: Metrics,
  clock: Pick<Clock, 'monotonicMs'>,
  { state }: { state(): UplinkState },
): void {
  metrics.onScrape(() => {
    const now = state()
    const { phase, globalMark, position, globalStoreId, hold } = now
    metrics.set('zonemesh_uplink_standby', {}, phase === 'standby' ? 1 : 0)
    metrics.set('zonemesh_uplink_connected', {}, phase === 'connected' ? 1 : 0)
    metrics.set('zonemesh_uplink_current', {}, isCurrent(now, clock.monotonicMs()) ? 1 : 0)
    metrics.set('zonemesh_uplink_changes_held', {}, hold ? 1 : 0)
    // A global whose store does not respond has no mark to compare with, and another store has other revisions.
    const isComparable = globalMark !== Number.MAX_SAFE_INTEGER && position?.store === globalStoreId
    if (isComparable)
      metrics.set('zonemesh_uplink_lag_revisions', {}, Math.max(0, globalMark - (position?.revision ?? 0)))
  })
}

/** Counts sessions and holds. A process that leads again keeps its counts, so its next session is a reconnect. */
export function followUplinks(metrics: Metrics): (state: Uplink['state']) => void {
  let epoch: number | undefined
  let held: string | undefined

  function count(next: UplinkState): void {
    if (next.epoch !== undefined && next.epoch !== epoch) {
      metrics.count('zonemesh_uplink_sessions_total', {})
      if (epoch !== undefined) metrics.count('zonemesh_uplink_reconnects_total', {})
      epoch = next.epoch
    }
    // A new session begins without the hold and then repeats it.
    if (next.hold && next.hold.id !== held) {
      metrics.count('zonemesh_uplink_holds_total', {})
      held = next.hold.id
    }
  }

  return async (state) => {
    const stopped = new AbortController()
    for await (const next of state.watch(stopped.signal)) {
      count(next)
      if (next.phase === 'stopped') stopped.abort()
    }
  }
}
