import type { Metrics } from './metrics.ts'

/** What expires next, as the report of expiring certificates has last read it. */
interface Figure {
  readonly what: string
  readonly endsInMs: number
  readonly due: number
}

/** Shows what expires. Sorts of which nothing is left disappear. */
export function showExpiry(metrics: Metrics, figures: () => readonly Figure[]): void {
  metrics.onScrape(() => {
    metrics.clear('zonemesh_expiry_seconds')
    metrics.clear('zonemesh_expiring')
    for (const { what, endsInMs, due } of figures()) {
      metrics.set('zonemesh_expiry_seconds', { what }, Math.round(endsInMs / 1000))
      metrics.set('zonemesh_expiring', { what }, due)
    }
  })
}
