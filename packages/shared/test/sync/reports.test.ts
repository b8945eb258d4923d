import { expect, test } from 'vitest'
import { createReportStock } from '../../src/sync/reports.ts'

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
