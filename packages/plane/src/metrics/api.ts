import type { AnsweredRequest } from '../api/server.ts'
import type { Metrics } from './metrics.ts'

/** Counts and measures requests by route. Paths without a route share one series, because callers choose them freely. */
export function observeRequests(metrics: Metrics) {
  return ({ method, route, status, durationMs }: AnsweredRequest): void => {
    const labels = route === undefined ? { method: 'any', route: 'none' } : { method, route }
    metrics.count('zonemesh_api_requests_total', { ...labels, status: String(status) })
    if (durationMs !== undefined) metrics.observe('zonemesh_api_request_duration_seconds', labels, durationMs)
  }
}
