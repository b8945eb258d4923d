import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import type { Lead } from '@zonemesh/shared/leader/election.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import { expect, test } from 'vitest'
import { createLeases, defaultLeaseOptions } from '../../src/leases/leases.ts'

const alone = { term: 0, guards: [] }

const { leaseMs } = defaultLeaseOptions

function scene() {
  const clock = createVirtualClock()
  const removed: string[] = []
  const marked: (readonly string[])[] = []
  const leases = createLeases({
    lead: () => alone,
    clock,
    log: silentLog,
    remove: async (proxy) => void removed.push(proxy),
    markLost: async (proxies) => void marked.push(proxies),
  })
  return { clock, removed, marked, leases }
}

test('Z1 a proxy with a lost stream is suspect, and is removed after its lease', () => {
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

test('Z4 the row of a proxy that an operator has written stays regardless of its stream', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.closed('a', '1', false)
  clock.advance(10 * leaseMs)
  expect(removed).toEqual([])
})

test('Z5 a draining proxy is removed at once', async () => {
  const { removed, leases } = scene()
  leases.opened('a', '1')
  await leases.draining('a')
  expect(removed).toEqual(['a'])
})

test('Z6 many proxies that are lost at once are not removed until enough of them have returned', () => {
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

test('Z26 proxies that are lost together are marked once, in one commit, and are no longer lost when they return', () => {
  const { clock, marked, leases } = scene()
  const names = Array.from({ length: 20 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names.slice(0, 12)) leases.closed(name, '1', true)
  clock.advance(leaseMs - 1)
  expect([marked, leases.isLost('p0')]).toEqual([[], false])
  clock.advance(5 * leaseMs)
  expect(marked).toEqual([names.slice(0, 12)])
  expect([leases.isLost('p0'), leases.isLost('p12')]).toEqual([true, false])
  leases.opened('p0', '2')
  expect(leases.isLost('p0')).toBe(false)
  leases.closed('p0', '2', true)
  clock.advance(2 * leaseMs)
  expect(marked).toEqual([names.slice(0, 12), ['p0']])
})

test('Z26 while no proxy is live no proxy is marked, because none could probe', () => {
  const { clock, removed, marked, leases } = scene()
  const names = Array.from({ length: 20 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names) leases.closed(name, '1', true)
  clock.advance(5 * leaseMs)
  expect([removed, marked]).toEqual([[], []])
})

test.each([
  ['ten of 20', 20, 10, 10],
  ['eleven of 20', 20, 11, 0],
  ['twelve of 40, which are 30 %', 40, 12, 12],
  ['thirteen of 40', 40, 13, 0],
])(
  'Z6 when %s proxies are lost at once, the limits decide whether they are removed',
  (_what, total, gone, expected) => {
    const { clock, removed, leases } = scene()
    const names = Array.from({ length: total }, (_unused, index) => `p${index}`)
    for (const name of names) leases.opened(name, '1')
    for (const name of names.slice(0, gone)) leases.closed(name, '1', true)
    clock.advance(30_000)
    expect(removed).toHaveLength(expected)
  },
)

test('Z1 a lease lasts 30 s, and a removed proxy is no suspect any more', () => {
  const { clock, removed, leases } = scene()
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  clock.advance(29_999)
  expect([removed, leases.isSuspect('a')]).toEqual([[], true])
  clock.advance(1)
  expect([removed, leases.isSuspect('a')]).toEqual([['a'], false])
})

test.each([
  ['is tried again after another lease', false, 2],
  ['is not tried again if the proxy has returned', true, 1],
])('Z1 a removal that fails %s', async (_what, returns, expected) => {
  const clock = createVirtualClock()
  let tries = 0
  const leases = createLeases({
    lead: () => alone,
    clock,
    log: silentLog,
    async remove() {
      tries += 1
      if (tries === 1) throw new Error('the store is away')
    },
    markLost: async () => {},
  })
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  clock.advance(leaseMs)
  if (returns) leases.opened('a', '2')
  for (let round = 0; round < 3; round += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(leaseMs)
  }
  expect([tries, leases.isSuspect('a')]).toEqual([expected, false])
})

test('Z5 a draining proxy has no lease, also if its stream closes while its row is removed', async () => {
  const clock = createVirtualClock()
  const removed: string[] = []
  const removal = Promise.withResolvers<void>()
  const leases = createLeases({
    lead: () => alone,
    clock,
    log: silentLog,
    async remove(proxy) {
      removed.push(proxy)
      await removal.promise
    },
    markLost: async () => {},
  })
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  leases.opened('b', '1')
  const [first, second] = [leases.draining('a'), leases.draining('b')]
  expect(leases.isSuspect('a')).toBe(false)
  leases.closed('b', '1', true)
  removal.resolve()
  await Promise.all([first, second])
  expect(leases.isSuspect('b')).toBe(false)
  clock.advance(10 * leaseMs)
  expect(removed).toEqual(['a', 'b'])
})

test('Z26 lost proxies are marked 100 ms after the first one, with one live proxy, and without those that returned', () => {
  const { clock, marked, leases } = scene()
  const names = Array.from({ length: 13 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names.slice(0, 12)) leases.closed(name, '1', true)
  clock.advance(leaseMs + 50)
  leases.opened('p3', '2')
  leases.closed('p3', '2', true)
  clock.advance(49)
  expect(marked).toEqual([])
  clock.advance(1)
  expect(marked).toEqual([names.slice(0, 12).filter((name) => name !== 'p3')])
})

test.each([1, 12])('Z1 after the leases of %i lost proxies are closed none is removed or marked', (count) => {
  const { clock, removed, marked, leases } = scene()
  const names = Array.from({ length: 20 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names.slice(0, count)) leases.closed(name, '1', true)
  clock.advance(count === 1 ? leaseMs - 1 : leaseMs)
  leases.close()
  clock.advance(10 * leaseMs)
  expect([removed, marked]).toEqual([[], []])
})

test('Z26 a mark that cannot be written is written after another lease', async () => {
  const clock = createVirtualClock()
  let tries = 0
  const leases = createLeases({
    lead: () => alone,
    clock,
    log: silentLog,
    remove: async () => {},
    async markLost() {
      tries += 1
      if (tries === 1) throw new Error('the store is away')
    },
  })
  const names = Array.from({ length: 20 }, (_unused, index) => `p${index}`)
  for (const name of names) leases.opened(name, '1')
  for (const name of names.slice(0, 12)) leases.closed(name, '1', true)
  for (let round = 0; round < 4; round += 1) {
    clock.advance(leaseMs + 200)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(tries).toBe(2)
})

test('ZR8 only the leader of the replicas removes a proxy, and a later leader does so within 3 s', () => {
  const clock = createVirtualClock()
  const removed: unknown[] = []
  let lead: Lead | undefined
  const guards: Lead['guards'] = [
    { op: 'check', key: parseKeyText('east/PlaneLeader//plane'), expect: { revision: 7 } },
  ]
  const leases = createLeases({
    lead: () => lead,
    clock,
    log: silentLog,
    remove: async (...given) => void removed.push(given),
    markLost: async () => {},
  })
  leases.opened('a', '1')
  leases.closed('a', '1', true)
  clock.advance(10 * leaseMs)
  expect([removed, leases.isSuspect('a')]).toEqual([[], true])
  lead = { term: 7, guards }
  clock.advance(3_000)
  expect(removed).toEqual([['a', 'it lost its stream and did not return within its lease', guards]])
})
