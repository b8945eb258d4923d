import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/base/base.ts'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createLatest } from '../../src/streams/latest.ts'
import type { Report } from '../../src/sync/log/messages.ts'
import { createReportStock, type ReadReport, sendReports } from '../../src/sync/reports.ts'

const entry = (key: string, text: string) => ({ key, value: { text } })

test('Y39 a report is limited in bytes: entries that do not fit are left out and counted, until the zone begins it anew', () => {
  const stock = createReportStock(50)
  const begun = stock.changed('east', {}, { reset: true, changed: [entry('a', 'xxx'), entry('b', 'xxx')], removed: [] })
  expect(begun).toEqual({ report: { a: { text: 'xxx' }, b: { text: 'xxx' } }, reportLeftOut: 0 })

  // A third entry of 15 bytes makes 45 of 50. An entry that grows does not fit, and its former value is outdated.
  const third = stock.changed('east', begun.report, { reset: false, changed: [entry('c', 'xxx')], removed: [] })
  expect(Object.keys(third.report)).toEqual(['a', 'b', 'c'])
  const grown = stock.changed('east', third.report, {
    reset: false,
    changed: [entry('a', 'x'.repeat(20))],
    removed: [],
  })
  expect(grown).toEqual({ report: { b: { text: 'xxx' }, c: { text: 'xxx' } }, reportLeftOut: 1 })

  const removed = stock.changed('east', grown.report, { reset: false, changed: [entry('a', 'xxxx')], removed: ['b'] })
  expect(removed).toEqual({ report: { a: { text: 'xxxx' }, c: { text: 'xxx' } }, reportLeftOut: 1 })
  const anew = stock.changed('east', removed.report, {
    reset: true,
    changed: [entry('z', 'x'.repeat(38))],
    removed: [],
  })
  expect(anew).toEqual({ report: { z: { text: 'x'.repeat(38) } }, reportLeftOut: 0 })
})

test('Y39 the limit counts for each zone by itself', () => {
  const stock = createReportStock(20)
  for (const zone of ['east', 'west'])
    expect(stock.changed(zone, {}, { reset: true, changed: [entry('a', 'xxx')], removed: [] }).reportLeftOut).toBe(0)
})

test('Y39 an entry that fills the report exactly fits, and a removed entry makes room', () => {
  const stock = createReportStock(30)
  const full = stock.changed('east', {}, { reset: true, changed: [entry('a', 'xxx'), entry('b', 'xxx')], removed: [] })
  expect(full.reportLeftOut).toBe(0)
  const without = stock.changed('east', full.report, { reset: false, changed: [], removed: ['a', 'unknown'] })
  expect(without).toEqual({ report: { b: { text: 'xxx' } }, reportLeftOut: 0 })
  // A key that was removed already makes no more room.
  stock.changed('east', without.report, { reset: false, changed: [], removed: ['a'] })
  const again = stock.changed('east', without.report, { reset: false, changed: [entry('c', 'xxx')], removed: [] })
  expect(again.reportLeftOut).toBe(0)
  // One entry does not fit, and the next one replaces an entry of its size.
  const more = [entry('d', ''), entry('c', 'yyy')]
  const replaced = stock.changed('east', again.report, { reset: false, changed: more, removed: [] })
  expect(replaced).toEqual({ report: { b: { text: 'xxx' }, c: { text: 'yyy' } }, reportLeftOut: 1 })
})

test('Y29 the first frame of a zone begins its report anew, also if the zone did not announce it', () => {
  const stock = createReportStock(100)
  const former = { old: { text: 'of a former process' } }
  const found = stock.changed('east', former, { reset: false, changed: [entry('a', '')], removed: [] })
  expect(found.report).toEqual({ a: { text: '' } })
})

/** A session that records the frames of the report, and a report that the test sets. */
function createSender() {
  const clock = createVirtualClock()
  const stop = new AbortController()
  const report = createLatest<ReadReport>(() => ({}))
  const frames: Report[] = []
  const set = async (value: Record<string, JsonObject>) => {
    report.set(() => value)
    await settle()
  }
  const start = () => {
    const session = { report: async (frame: Report) => void frames.push(frame) }
    return sendReports(clock, report, session, stop.signal)
  }
  const shown = () =>
    frames.splice(0).map(({ reset, changed, removed }) => [reset, changed.map(({ key }) => key).join(), removed.join()])
  return { clock, stop, set, start, shown, frames }
}
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

test('Y29 a session sends its report anew, then only what has changed, at most once per second', async () => {
  const { clock, set, start, shown } = createSender()
  await set({ a: { n: 1 }, b: { n: 1 } })
  void start()
  await settle()
  expect(shown()).toEqual([[true, 'a,b', '']])
  await set({ a: { n: 1 }, b: { n: 2 } })
  await set({ b: { n: 2 }, c: { n: 1 } })
  clock.advance(999)
  await settle()
  expect(shown()).toEqual([])
  clock.advance(1)
  await settle()
  expect(shown()).toEqual([
    [false, '', 'a'],
    [false, 'b,c', ''],
  ])
  // Another object with the same content is no change.
  await set({ b: { n: 2 }, c: { n: 1 } })
  clock.advance(1_000)
  await settle()
  expect(shown()).toEqual([])
  await set({ a: { n: 1 }, b: { n: 2 }, c: { n: 1 } })
  clock.advance(1_000)
  await settle()
  expect(shown()).toEqual([[false, 'a', '']])
})

test('Y29 a report without entries begins with an empty frame, so that the global drops the former report', async () => {
  const { clock, set, start, shown } = createSender()
  void start()
  await settle()
  expect(shown()).toEqual([[true, '', '']])
  clock.advance(1_000)
  await set({})
  expect(shown()).toEqual([])
})

test('L8 a frame of a report has at most 200 entries', async () => {
  const { set, start, frames } = createSender()
  await set(Object.fromEntries(Array.from({ length: 401 }, (_, index) => [`p${index}`, { n: index }])))
  void start()
  await settle()
  expect(frames.map(({ reset, changed }) => [reset, changed.length])).toEqual([
    [true, 200],
    [false, 200],
    [false, 1],
  ])
  expect(new Set(frames.flatMap(({ changed }) => changed.map(({ key }) => key))).size).toBe(401)
})

test('Y29 the end of the session ends the report at once', async () => {
  const { stop, start } = createSender()
  const sending = start()
  await settle()
  stop.abort()
  await sending
})
