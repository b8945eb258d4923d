import { constants, PerformanceObserver } from 'node:perf_hooks'
import { version } from '@zonemesh/shared/base/version.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Metrics } from './metrics.ts'

const delayEveryMs = 100

const gcKinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/**
 * The metrics of the process, until disposed. We declare them ourselves: the default metrics of prom-client cannot be
 * stopped, which leaks an observer for each plane in a process, and some of their names do not pass `promtool check
 * metrics`.
 */
export function observeProcess(metrics: Metrics, clock: Clock): Disposable {
  metrics.set('zonemesh_build_info', { version, role: metrics.role }, 1)
  metrics.set('nodejs_version_info', { version: process.version }, 1)
  metrics.set('process_start_time_seconds', {}, Math.round(clock.wallMs() / 1000 - process.uptime()))
  metrics.onScrape(() => {
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
    const cpu = process.cpuUsage()
    metrics.set('process_resident_memory_bytes', {}, rss)
    metrics.set('nodejs_heap_used_bytes', {}, heapUsed)
    metrics.set('nodejs_heap_size_bytes', {}, heapTotal)
    metrics.set('nodejs_external_memory_bytes', {}, external)
    metrics.total('process_cpu_seconds_total', {}, (cpu.user + cpu.system) / 1e6)
  })
  const delays = observeDelays(metrics, clock)
  const collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      metrics.observe('nodejs_gc_duration_seconds', { kind: kindOf(entry) }, entry.duration)
  })
  collections.observe({ entryTypes: ['gc'] })
  return {
    [Symbol.dispose]() {
      delays[Symbol.dispose]()
      collections.disconnect()
    },
  }
}

function kindOf(entry: object): string {
  const detail: unknown = 'detail' in entry ? entry.detail : undefined
  return (typeof detail === 'object' && detail !== null && 'kind' in detail && gcKinds[Number(detail.kind)]) || 'other'
}

/**
 * Measures how late a timer is. Node's `monitorEventLoopDelay` does not count the first delay after each reset, and
 * without a reset it cannot be moved into a histogram. On a busy machine this timer costs 0.2 % of a core, which are its
 * wake-ups, as many as ten per second; Node's monitor wakes up for each measurement, too.
 */
function observeDelays(metrics: Metrics, clock: Clock): Disposable {
  let dueMs = clock.monotonicMs() + delayEveryMs
  return repeat(clock, delayEveryMs, () => {
    const nowMs = clock.monotonicMs()
    metrics.observe('nodejs_eventloop_delay_seconds', {}, Math.max(0, nowMs - dueMs))
    dueMs = nowMs + delayEveryMs
  })
}
