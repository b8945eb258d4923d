import { type Leadership, onLead } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import type { Metrics } from './metrics.ts'

/** Shows whether this process leads the replicas of its plane, and counts its leads until disposed. */
export function showLead(metrics: Metrics, plane: string, leadership: Pick<Leadership, 'lead'>): AsyncDisposable {
  // A counter that exists at 0 shows its first increase, too.
  metrics.count('zonemesh_leads_total', { plane }, 0)
  metrics.onScrape(() => metrics.set('zonemesh_leader', { plane }, leadership.lead.value ? 1 : 0))
  return onLead(leadership, () => metrics.count('zonemesh_leads_total', { plane }))
}

const wakeups = ['sent', 'failed', 'received', 'ignored'] as const

/** Shows the link to Redis. A plane without Redis has no series of its state. */
export function showRedis(metrics: Metrics, redis: Pick<RedisLink, 'form' | 'state' | 'counts'>): void {
  metrics.onScrape(() => {
    const { phase } = redis.state()
    const counts = redis.counts()
    metrics.set('zonemesh_redis_connected', { form: redis.form }, phase === 'connected' ? 1 : 0)
    for (const result of wakeups) metrics.total('zonemesh_redis_wakeups_total', { result }, counts[result])
    metrics.total('zonemesh_redis_reconnects_total', {}, counts.reconnects)
    metrics.total('zonemesh_redis_errors_total', {}, counts.errors)
  })
}
