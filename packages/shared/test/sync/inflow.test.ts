import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createInflow } from '../../src/sync/inflow.ts'

test('Y40 a peer may send a burst at once, and after it so many bytes per second', () => {
  const clock = createVirtualClock()
  const inflow = createInflow(clock, { bytesPerSecond: 1_000, burstBytes: 1_000 })
  expect(inflow.take(600)).toBe(0)
  expect(inflow.take(400)).toBe(0)
  expect(inflow.take(50)).toBe(50)
  clock.advance(49)
  expect(inflow.take(50)).toBe(1)
  clock.advance(1)
  expect(inflow.take(50)).toBe(0)
  expect(inflow.take(1)).toBe(1)
})

test('Y40 a rest gives back one burst and no more, and bytes above a burst wait for a full one', () => {
  const clock = createVirtualClock()
  const inflow = createInflow(clock, { bytesPerSecond: 100, burstBytes: 1_000 })
  clock.advance(60_000)
  expect(inflow.take(1_500)).toBe(0)
  // The debt of 500 bytes is paid first.
  expect(inflow.take(100)).toBe(6_000)
})
