import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type Declaration, declarations, type MetricName, type MetricsRole } from './declarations.ts'

type NameOf<T extends Declaration['type']> = {
  [N in MetricName]: (typeof declarations)[N]['type'] extends T ? N : never
}[MetricName]

/** A value for each label of a metric. */
export type Labels<N extends MetricName> = Readonly<Record<(typeof declarations)[N]['labels'][number], string>>

/**
 * The metrics of one plane. Each plane has its own registry, because several planes may run in one process. A plane has
 * only the metrics of its role; using another one is a bug and throws.
 */
export interface Metrics {
  readonly role: MetricsRole
  /** Adds to a counter. */
  count<N extends NameOf<'counter'>>(name: N, labels: Labels<N>, by?: number): void
  /** Sets a counter to a total that its source counts by itself. */
  total<N extends NameOf<'counter'>>(name: N, labels: Labels<N>, value: number): void
  set<N extends NameOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void
  /** Removes the series of a gauge whose labels may have gone. */
  clear(name: NameOf<'gauge'>): void
  /** Adds a duration to a histogram, in milliseconds as our clocks measure it. */
  observe<N extends NameOf<'histogram'>>(name: N, labels: Labels<N>, durationMs: number): void
  /** Calls `read` before each scrape, for figures that have their source elsewhere. It must not read a store. */
  onScrape(read: () => void): void
  /** Removes all series of a zone that no longer exists. */
  forgetZone(zone: string): void
  readonly contentType: string
  /** All metrics in the text format of Prometheus. */
  text(): Promise<string>
}

export function createMetrics(role: MetricsRole): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  const readers: (() => void)[] = []
  const declared = Object.entries<Declaration>(declarations).filter(([, { roles }]) => roles.includes(role))
  for (const [name, { type, help, labels: labelNames, buckets = [] }] of declared) {
    if (type === 'counter') counters.set(name, new Counter({ name, help, labelNames, registers }))
    else if (type === 'gauge') gauges.set(name, new Gauge({ name, help, labelNames, registers }))
    else histograms.set(name, new Histogram({ name, help, labelNames, buckets: [...buckets], registers }))
  }
  const perZone = declared.filter(([, { labels }]) => labels.includes('zone')).map(([name]) => name)

  function need<T>(metrics: ReadonlyMap<string, T>, name: string): T {
    const metric = metrics.get(name)
    if (metric === undefined) throw new Error(`the ${role} plane has no metric ${name}`)
    return metric
  }

  return {
    role,
    count: (name, labels, by = 1) => need(counters, name).inc(labels, by),
    total(name, labels, value) {
      const counter = need(counters, name)
      counter.remove(labels)
      counter.inc(labels, value)
    },
    set: (name, labels, value) => need(gauges, name).set(labels, value),
    clear: (name) => need(gauges, name).reset(),
    observe: (name, labels, durationMs) => need(histograms, name).observe(labels, durationMs / 1000),
    onScrape: (read) => void readers.push(read),
    forgetZone(zone) {
      // Metrics of zones have no other label.
      for (const name of perZone) (counters.get(name) ?? gauges.get(name) ?? histograms.get(name))?.remove({ zone })
    },
    contentType: registry.contentType,
    text() {
      for (const read of readers) read()
      return registry.metrics()
    },
  }
}
