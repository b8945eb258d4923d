import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createThroughput } from '../../src/sync/throughput.ts'

function createLink() {
  const clock = createVirtualClock()
  return { clock, link: createThroughput(clock) }
}

test('Y6 the throughput of a link is measured while bytes are in flight, and a pause does not lower it', () => {
  const { clock, link } = createLink()
  clock.advance(1_000)
  link.sent(1_000)
  clock.advance(500)
  link.sent(500)
  link.credited(500)
  expect(link.bytesPerSecond()).toBe(1_000)
  clock.advance(500)
  link.credited(1_000)
  expect(link.bytesPerSecond()).toBe(1_500)
  clock.advance(60_000)
  expect(link.bytesPerSecond()).toBe(1_500)
  link.sent(200)
  clock.advance(100)
  link.credited(200)
  expect(link.bytesPerSecond()).toBe(2_000)
})

test('Y6 the throughput is unknown before the first credit, and an answer within a millisecond counts as one', () => {
  const { clock, link } = createLink()
  link.sent(10)
  link.credited(0)
  expect(link.bytesPerSecond()).toBeUndefined()
  link.credited(1)
  expect(link.bytesPerSecond()).toBe(1_000)
  link.credited(9)
  expect(link.bytesPerSecond()).toBe(10_000)
  // One byte in flight is enough to go on with the measurement.
  link.sent(1)
  clock.advance(100)
  link.sent(99)
  clock.advance(100)
  link.credited(100)
  expect(link.bytesPerSecond()).toBe(500)
  // Credit for more than was sent leaves nothing in flight.
  link.credited(1_000)
  clock.advance(100)
  link.sent(100)
  clock.advance(100)
  link.credited(100)
  expect(link.bytesPerSecond()).toBe(1_000)
})
