import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createCredit, creditWindowBytes } from '../../src/sync/credit.ts'
import type { InflowLimit } from '../../src/sync/inflow.ts'

function createReceiver(inflow?: InflowLimit) {
  const clock = createVirtualClock()
  const paid: number[] = []
  return { clock, paid, credit: createCredit({ clock, inflow, send: (bytes) => paid.push(bytes) }) }
}

test('L8 credit is sent in steps of 32 KiB, and the rest on request', () => {
  const { credit, paid } = createReceiver()
  credit.pay()
  credit.owe(32 * 1024 - 1)
  expect(paid).toEqual([])
  credit.owe(1)
  expect(paid).toEqual([32 * 1024])
  credit.owe(10)
  credit.pay()
  credit.pay()
  expect(paid).toEqual([32 * 1024, 10])
})

test('Y40 a peer may send while it has any of its 4 MiB of credit, and then only what it was credited', () => {
  expect(creditWindowBytes).toBe(4 * 1024 * 1024)
  const { credit } = createReceiver()
  expect(credit.received(creditWindowBytes - 1)).toBe(true)
  expect(credit.received(100)).toBe(true)
  expect(credit.received(0)).toBe(false)
  credit.owe(99)
  credit.pay()
  expect(credit.received(0)).toBe(false)
  credit.owe(1)
  credit.pay()
  expect(credit.received(1)).toBe(true)
  expect(credit.received(1)).toBe(false)
})

test('Y40 above the rate of the peer credit waits, and everything owed by then is sent together', () => {
  const { clock, credit, paid } = createReceiver({ bytesPerSecond: 1_000, burstBytes: 100 })
  credit.owe(100)
  credit.pay()
  credit.owe(50)
  credit.pay()
  clock.advance(49)
  expect(paid).toEqual([100])
  credit.owe(10)
  credit.pay()
  // At 50 ms there is room for 50 bytes, but 60 are owed by now.
  clock.advance(10)
  expect(paid).toEqual([100])
  clock.advance(1)
  expect(paid).toEqual([100, 60])
  credit.owe(1)
  credit.pay()
  expect(paid).toEqual([100, 60])
  clock.advance(1)
  expect(paid).toEqual([100, 60, 1])
})

test('Y40 no credit is sent after the end of the session', () => {
  const { clock, credit, paid } = createReceiver({ bytesPerSecond: 1_000, burstBytes: 100 })
  credit.owe(100)
  credit.pay()
  credit.owe(50)
  credit.pay()
  credit[Symbol.dispose]()
  clock.advance(1_000)
  credit.pay()
  expect(paid).toEqual([100])
  const idle = createReceiver()
  idle.credit[Symbol.dispose]()
  idle.credit.owe(100)
  idle.credit.pay()
  expect(idle.paid).toEqual([])
})
