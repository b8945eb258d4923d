import { byHand, createExpiry, type Expiring, intermediate, workload } from '@zonemesh/plane/status/expiry.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

function scene(sources: (nowMs: number) => readonly Expiring[]) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const items = sources(clock.wallMs())
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) }
  const expiry = createExpiry({ clock, log, sources: async () => items })
  return { clock, expiry, warnings }
}

test('V6 an expiry without automatic renewal is reported from 24 h before, once an hour, and as expired afterwards', async () => {
  const { clock, expiry, warnings } = scene((now) => [byHand('zone token', 'east', now + 26 * hourMs)])
  expect(await expiry.report()).toEqual([])
  clock.advance(3 * hourMs)
  const [told] = await expiry.report()
  expect(told).toEqual({ what: 'zone token', who: 'east', ends: '2026-01-02T02:00:00.000Z', endsInMs: 23 * hourMs })
  await expiry.report()
  expect(warnings).toEqual(['the zone token of east ends at 2026-01-02T02:00:00.000Z'])
  clock.advance(hourMs)
  await expiry.report()
  expect(warnings).toHaveLength(2)
  clock.advance(23 * hourMs)
  await expiry.report()
  expect(warnings.at(-1)).toBe('the zone token of east ended at 2026-01-02T02:00:00.000Z')
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

test('V7 the metrics show the next expiry of each sort, due or not', async () => {
  const { clock, expiry } = scene((now) => [
    byHand('zone token', 'east', now + 7 * dayMs),
    byHand('zone token', 'west', now + 3 * dayMs),
    byHand('server certificate', 'the global', now + dayMs),
  ])
  await expiry.report()
  clock.advance(1_000)
  expect(expiry.figures()).toEqual({
    'zonemesh_expiry_seconds{what="zone token"}': 3 * 86_400 - 1,
    'zonemesh_expiry_seconds{what="server certificate"}': 86_400 - 1,
  })
  expiry.close()
})
