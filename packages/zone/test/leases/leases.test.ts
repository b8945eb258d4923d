import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { createLeases, defaultLeaseOptions } from '../../src/leases/leases.ts'

const { leaseMs } = defaultLeaseOptions

function scene() {
  const clock = createVirtualClock()
  const removed: string[] = []
  const leases = createLeases({ clock, log: silentLog, remove: async (proxy) => void removed.push(proxy) })
  return { clock, removed, leases }
}

test('Z1 a lost stream makes a proxy suspect, and removes it after its lease', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  expect(leases.isSuspect('a')).toBe(true)
  clock.advance(leaseMs - 1)
  expect(removed).toEqual([])
  clock.advance(1)
  expect(removed).toEqual(['a'])
})

test('Z2 a proxy that returns within its lease stays', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  clock.advance(leaseMs - 1)
  leases.opened('a', '2')
  clock.advance(10 * leaseMs)
  expect([removed, leases.isLive('a'), leases.isSuspect('a')]).toEqual([[], true, false])
})

test('Z3 a newer stream of the same proxy keeps it alive when the older one ends', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.opened('a', '2')
  leases.closed('a', '1', true)
  clock.advance(10 * leaseMs)
  expect([removed, leases.isLive('a')]).toEqual([[], true])
})

test('Z4 a proxy that an operator has written keeps its row whatever its stream does', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.closed('a', '1', false)
  clock.advance(10 * leaseMs)
  expect(removed).toEqual([])
})

test('Z5 draining removes at once', async () => {
  const { removed, leases } = scene()
  leases.opened('a', '1')
  await leases.draining('a')
  expect(removed).toEqual(['a'])
})

test('Z6 many lost at once are not removed, until enough of them have returned', () => {
  const { clock, removed, leases } = scene()
  const names = Array.from({ length: 20 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names.slice(0, 12)) leases.closed(name, '1', true)
  clock.advance(3 * leaseMs)
  expect(removed).toEqual([])
  for (const name of names.slice(0, 10)) leases.opened(name, '2')
  clock.advance(2 * leaseMs)
  expect(removed.sort()).toEqual(['p10', 'p11'])
})
