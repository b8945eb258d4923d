import { showExpiry } from '@zonemesh/plane/metrics/expiry.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { byHand, createExpiry, type Expiring, intermediate, workload } from '@zonemesh/plane/status/expiry.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

function scene(sources: (nowMs: number) => readonly Expiring[]) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const items = [...sources(clock.wallMs())]
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) }
  const expiry = createExpiry({ clock, log, sources: async () => items })
  return { clock, expiry, items, warnings }
}

test('V6 an expiry without automatic renewal is reported from 24 h before, once an hour, and as expired afterwards', async () => {
  const { clock, expiry, warnings } = scene((now) => [byHand('zone token', 'east', now + 26 * hourMs)])
  expect(await expiry.report()).toEqual([])
  clock.advance(3 * hourMs)
  const [expiring] = await expiry.report()
  expect(expiring).toEqual({ what: 'zone token', who: 'east', ends: '2026-01-02T02:00:00.000Z', endsInMs: 23 * hourMs })
  await expiry.report()
  expect(warnings).toEqual(['the zone token of east expires at 2026-01-02T02:00:00.000Z'])
  clock.advance(hourMs)
  await expiry.report()
  expect(warnings).toHaveLength(2)
  clock.advance(23 * hourMs)
  await expiry.report()
  expect(warnings.at(-1)).toBe('the zone token of east expired at 2026-01-02T02:00:00.000Z')
  expiry.close()
})

test('V6 an expiry with automatic renewal is reported only after the renewal failed: an authority of a zone from its fifteenth day on', async () => {
  const { clock, expiry } = scene((now) => [
    intermediate('default', 'east', now + 30 * dayMs, now),
    workload('web', { issuedAtMs: now, notAfterMs: now + dayMs }),
  ])
  clock.advance(20 * hourMs)
  expect(await expiry.report()).toEqual([])
  clock.advance(2 * hourMs)
  expect((await expiry.report()).map(({ what }) => what)).toEqual(['workload certificate'])
  clock.advance(14 * dayMs)
  expect((await expiry.report()).map(({ what }) => what)).toEqual(['workload certificate'])
  clock.advance(hourMs * 5)
  const found = await expiry.report()
  expect(found.map(({ who }) => who)).toEqual(['web', 'mesh default in zone east'])
  expiry.close()
})

test('V7 the metrics show the next expiry of each sort, due or not, and how many are due', async () => {
  const { clock, expiry, items } = scene((now) => [
    byHand('zone token', 'east', now + 7 * dayMs),
    byHand('zone token', 'west', now + 3 * dayMs),
    byHand('server certificate', 'the global', now + dayMs),
  ])
  await expiry.report()
  clock.advance(1_000)
  const metrics = createMetrics('global')
  showExpiry(metrics, expiry.figures)
  const shown = async () => (await metrics.text()).split('\n').filter((line) => /^zonemesh_expir/.test(line))
  expect(await shown()).toEqual([
    `zonemesh_expiry_seconds{what="server certificate"} ${86_400 - 1}`,
    `zonemesh_expiry_seconds{what="zone token"} ${3 * 86_400 - 1}`,
    'zonemesh_expiring{what="server certificate"} 0',
    'zonemesh_expiring{what="zone token"} 0',
  ])
  // The next check finds that one of them is due, and that another one is gone.
  clock.advance(1)
  items.pop()
  await expiry.report()
  expect(await shown()).toEqual([
    `zonemesh_expiry_seconds{what="zone token"} ${3 * 86_400 - 1}`,
    'zonemesh_expiring{what="zone token"} 0',
  ])
  clock.advance(2 * dayMs)
  await expiry.report()
  expect((await shown()).at(-1)).toBe('zonemesh_expiring{what="zone token"} 1')
  expiry.close()
})
