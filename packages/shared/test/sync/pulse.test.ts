import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { clockAheadMs, startPulse } from '../../src/sync/pulse.ts'

/** A pulse that records the times of its bookmarks and of its silence. `delayMs` makes the process late. */
function createPulse() {
  const virtual = createVirtualClock()
  let delayMs = 0
  const clock = { ...virtual, monotonicMs: () => virtual.monotonicMs() + delayMs }
  const bookmarksMs: number[] = []
  const silences: { readonly atMs: number; readonly silentMs: number }[] = []
  const pulse = startPulse(
    clock,
    () => bookmarksMs.push(virtual.monotonicMs()),
    (silentMs) => silences.push({ atMs: virtual.monotonicMs(), silentMs }),
  )
  const setDelay = (ms: number) => {
    delayMs = ms
  }
  return { pulse, bookmarksMs, silences, advance: virtual.advance, setDelay }
}

test('Y5 a bookmark follows each former one after 2 s', () => {
  const { pulse, bookmarksMs, advance } = createPulse()
  advance(5_000)
  expect(bookmarksMs).toEqual([])
  pulse.beat()
  advance(4_000)
  pulse.announce()
  advance(2_500)
  expect(bookmarksMs).toEqual([5_000, 7_000, 9_000, 9_005, 11_005])
})

test('Y5 changes are reported together after 3 ms, and 5 ms after the last bookmark at the earliest', () => {
  const { pulse, bookmarksMs, advance } = createPulse()
  advance(100)
  pulse.announce()
  advance(2)
  pulse.announce()
  advance(1)
  expect(bookmarksMs).toEqual([103])
  pulse.announce()
  advance(5)
  expect(bookmarksMs).toEqual([103, 108])
  advance(1)
  pulse.announce()
  advance(10)
  expect(bookmarksMs).toEqual([103, 108, 113])
  advance(4)
  pulse.announce()
  advance(10)
  expect(bookmarksMs).toEqual([103, 108, 113, 126])
})

test('Y5 a peer counts as silent once its last frame is 7 s old', () => {
  const exact = createPulse()
  exact.advance(1_000)
  exact.pulse.received()
  exact.advance(10_000)
  expect(exact.silences).toEqual([{ atMs: 8_000, silentMs: 7_000 }])
  const younger = createPulse()
  younger.advance(1_001)
  younger.pulse.received()
  younger.advance(10_000)
  expect(younger.silences).toEqual([{ atMs: 10_000, silentMs: 8_999 }])
})

test('Y5 a process that is more than a second late does not blame the peer, and checks again', () => {
  const slow = createPulse()
  slow.advance(7_999)
  slow.setDelay(1_000)
  slow.advance(1)
  expect(slow.silences).toEqual([{ atMs: 8_000, silentMs: 9_000 }])
  const stalled = createPulse()
  stalled.advance(7_999)
  stalled.setDelay(1_001)
  stalled.advance(2_000)
  expect(stalled.silences).toEqual([])
  stalled.advance(1)
  expect(stalled.silences).toEqual([{ atMs: 10_000, silentMs: 11_001 }])
})

test('Y5 a disposed pulse sends no further bookmark and does not call the peer silent', () => {
  const { pulse, bookmarksMs, silences, advance } = createPulse()
  pulse.beat()
  pulse[Symbol.dispose]()
  pulse.announce()
  advance(20_000)
  pulse.beat()
  advance(20_000)
  expect(bookmarksMs).toEqual([0, 20_000])
  expect(silences).toEqual([])
})

test('Y16 the clock of a peer that does not send it counts as equal', () => {
  expect(clockAheadMs({ wallClockMs: 0 }, 5_000)).toBe(0)
  expect(clockAheadMs({ wallClockMs: 5_100 }, 5_000.4)).toBe(100)
  expect(clockAheadMs({ wallClockMs: 4_000 }, 5_000)).toBe(-1_000)
})
