import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { observeStore } from '@zonemesh/plane/metrics/observed-store.ts'
import { showLead, showRedis } from '@zonemesh/plane/metrics/replicas.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { asLeader, joinElection, type Lead, silentMs } from '@zonemesh/shared/leader/election.ts'
import type { RedisCounts, RedisState } from '@zonemesh/shared/redis/health.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'

/** Two processes of a zone over one store. Each has its own clock, so one whose clock stands still is paused. */
function createZone() {
  const deps = { clock: createVirtualClock(), random: createSeededRandom(1) }
  const contents = createMemoryContents(deps)
  return (instance: string) => {
    const clock = createVirtualClock()
    const metrics = createMetrics('zone')
    const store = observeStore(createMemoryStore(deps, { contents }), clock, metrics)
    const leadership = joinElection({ store, clock, log: silentLog }, { origin: 'east', instance })
    const shown = showLead(metrics, 'east', leadership)
    const figures = async (): Promise<readonly string[]> =>
      (await metrics.text()).split('\n').filter((line) => /^zonemesh_lead/.test(line))
    return { clock, store, leadership, shown, figures }
  }
}

type Process = ReturnType<ReturnType<typeof createZone>>

async function run(processes: readonly Process[], ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    for (const { clock } of processes) clock.advance(100)
    for (let turn = 0; turn < 40; turn += 1) await Promise.resolve()
  }
}

const figuresOf = (leads: 0 | 1, total: number, refused: number) => [
  `zonemesh_leader{plane="east"} ${leads}`,
  `zonemesh_leads_total{plane="east"} ${total}`,
  `zonemesh_lead_commits_refused_total ${refused}`,
]

test('MT21 the leader of a plane is shown, its leads are counted, and so are its commits that are refused because another process leads', async () => {
  const start = createZone()
  const [one, two] = [start('one'), start('two')]
  // Both try to take the lead at the same time, and the store refuses one of them.
  await run([one, two], 1_000)
  expect([await one.figures(), await two.figures()]).toEqual([figuresOf(1, 1, 0), figuresOf(0, 0, 0)])

  const former: Lead | undefined = one.leadership.lead.value
  if (!former) throw new Error('the first process leads')
  await run([two], silentMs + 1_000)
  const put = { op: 'put', key: { origin: 'east', kind: 'Mesh', mesh: '', name: 'a' }, labels: {}, spec: {} } as const
  const commit = { changes: [put], subject: 's', intent: 'i' }
  expect((await one.store.commit(asLeader(former, commit))).ok).toBe(false)
  expect((await one.store.commitRound([asLeader(former, commit)])).ok).toBe(false)
  // Another condition that does not hold is no sign of another leader.
  const next = two.leadership.lead.value
  const wrong = { ...commit, changes: [{ ...put, expect: { revision: 99 } }] }
  expect(next && (await two.store.commit(asLeader(next, wrong))).ok).toBe(false)
  expect([await one.figures(), await two.figures()]).toEqual([figuresOf(1, 1, 2), figuresOf(1, 1, 0)])
  await run([one], 500)
  expect(await one.figures()).toEqual(figuresOf(0, 1, 2))
  for (const { leadership, shown } of [one, two]) {
    await leadership.close()
    await shown[Symbol.asyncDispose]()
  }
})

test('MT22 the metrics show whether Redis answers and count wake-ups, reconnects and errors, and a plane without Redis shows no state of it', async () => {
  const without = createMetrics('global')
  expect(await without.text()).not.toMatch(/^zonemesh_redis_(connected|wakeups_total)\{/m)

  const metrics = createMetrics('global')
  const counts: RedisCounts = { sent: 1, failed: 2, received: 3, ignored: 4, reconnects: 5, errors: 6 }
  let phase: RedisState['phase'] = 'away'
  showRedis(metrics, { form: 'cluster', state: () => ({ phase, reason: '', sinceMs: 0 }), counts: () => counts })
  const figures = async (): Promise<readonly string[]> =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('zonemesh_redis_'))
  const counted = [
    'zonemesh_redis_wakeups_total{result="sent"} 1',
    'zonemesh_redis_wakeups_total{result="failed"} 2',
    'zonemesh_redis_wakeups_total{result="received"} 3',
    'zonemesh_redis_wakeups_total{result="ignored"} 4',
    'zonemesh_redis_reconnects_total 5',
    'zonemesh_redis_errors_total 6',
  ]
  expect(await figures()).toEqual(['zonemesh_redis_connected{form="cluster"} 0', ...counted])
  phase = 'connected'
  expect(await figures()).toEqual(['zonemesh_redis_connected{form="cluster"} 1', ...counted])
})
