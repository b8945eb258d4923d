import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { type Bookmark, type Hello, noCounters, type Verdict } from '../../src/sync/log/messages.ts'
import { type Receipt, untilReached, waitForReceipts } from '../../src/sync/receipts.ts'
import { createZoneBoard } from '../../src/sync/zone-status.ts'

const hello: Hello = {
  protocol: { min: 1, max: 1, features: [] },
  ...{ storeId: 'zone-store', incarnation: 1, host: 'h', startedAtMs: 0, version: 't', position: undefined },
  ...{ creditBytes: 1, replica: 'r', uncovered: [] },
}
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A global at revision 5 with the connected zones east and west. */
function createGlobal() {
  const clock = createVirtualClock()
  const board = createZoneBoard(clock, () => {})
  const stop = new AbortController()
  clock.advance(7)
  board.marked(5)
  for (const zone of ['east', 'west']) board.connected(zone, 1, hello, 0, { protocol: 1, features: [] })
  const bookmark = (zone: string, stored: number, served = 0, more: Partial<Bookmark> = {}) =>
    board.bookmark(
      zone,
      {
        ...{ sent: 0, mark: 0, stored, served, holds: [], blocked: '', verdicts: [], counters: noCounters },
        ...{ silentProxies: [], wallClockMs: 0, ...more },
      },
      { sent: 0, stored: 0 },
    )
  const wait = (zones: readonly string[], level: 'stored' | 'served' = 'stored') => {
    const state: { found?: readonly Receipt[] } = {}
    void waitForReceipts(clock, board, { revision: 5, level, zones, timeoutMs: 100 }, stop.signal).then((found) => {
      state.found = found
    })
    return state
  }
  return { clock, board, stop, bookmark, wait }
}

test('Y35 a wait ends when the last zone has the revision, with the time from the commit to each report', async () => {
  const { clock, bookmark, wait } = createGlobal()
  const state = wait(['east', 'west'])
  clock.advance(10)
  bookmark('east', 5)
  clock.advance(10)
  bookmark('west', 4)
  await settle()
  expect(state.found).toBeUndefined()
  clock.advance(10)
  bookmark('west', 5)
  bookmark('east', 6)
  await settle()
  expect(state.found).toMatchObject([
    { zone: 'east', state: 'done', delayMs: 10 },
    { zone: 'west', state: 'done', delayMs: 30 },
  ])
})

test('Y35 a zone that has the revision already needs no wait, and a level is not the other one', async () => {
  const { bookmark, wait } = createGlobal()
  bookmark('east', 5, 4)
  const stored = wait(['east'])
  const served = wait(['east'], 'served')
  await settle()
  expect(stored.found).toMatchObject([{ state: 'done', delayMs: 0 }])
  expect(served.found).toBeUndefined()
  bookmark('east', 5, 5)
  await settle()
  expect(served.found).toMatchObject([{ state: 'done', delayMs: 0 }])
})

test('Y35 after the timeout each zone without the revision is pending with a reason', async () => {
  const { clock, board, bookmark, wait } = createGlobal()
  board.connected('lost', 1, hello, 0, { protocol: 1, features: [] })
  board.ended('lost', { reason: 'the line is cut', goodbye: undefined })
  bookmark('east', 5)
  bookmark('west', 3)
  const state = wait(['east', 'west', 'lost', 'unknown'])
  clock.advance(99)
  await settle()
  expect(state.found).toBeUndefined()
  clock.advance(1)
  await settle()
  expect(state.found).toMatchObject([
    { zone: 'east', state: 'done' },
    { zone: 'west', state: 'pending', reason: 'stored 3 of 5' },
    { zone: 'lost', state: 'pending', reason: 'not connected: the line is cut' },
    { zone: 'unknown', state: 'pending', reason: 'not connected' },
  ])
})

test('Y35 a receipt lists the silent proxies and the verdicts that are not acceptances', async () => {
  const { bookmark, wait } = createGlobal()
  const verdict = (outcome: Verdict['outcome']): Verdict => ({
    ...{ key: outcome, revision: 5, outcome, reason: 'no', subject: 'p' },
  })
  const verdicts = [verdict('accepted'), verdict('rejected'), verdict('quarantined')]
  bookmark('east', 5, 5, { verdicts, silentProxies: ['p'] })
  const state = wait(['east'])
  await settle()
  expect(state.found).toEqual([
    { zone: 'east', state: 'done', delayMs: 0, verdicts: verdicts.slice(1), silentProxies: ['p'] },
  ])
})

test('Y35 a revision that a zone had before this process saw it has no delay', async () => {
  const { board, wait } = createGlobal()
  board.connected('east', 2, hello, 5, { protocol: 1, features: [] })
  const state = wait(['east'])
  await settle()
  expect(state.found).toMatchObject([{ state: 'done', delayMs: undefined }])
})

test('Y35 a wait ends when enough zones have the revision, or when its caller goes away', async () => {
  const { clock, board, stop, bookmark } = createGlobal()
  const ended: string[] = []
  const options = { revision: 5, level: 'stored', zones: ['east', 'west'], timeoutMs: 100 } as const
  void untilReached(clock, board, options, 1, stop.signal).then(() => ended.push('one'))
  void untilReached(clock, board, options, 2, stop.signal).then(() => ended.push('both'))
  await settle()
  expect(ended).toEqual([])
  bookmark('west', 5)
  await settle()
  expect(ended).toEqual(['one'])
  await untilReached(clock, board, options, 1, stop.signal)
  stop.abort()
  await settle()
  expect(ended).toEqual(['one', 'both'])
  await untilReached(clock, board, options, 2, stop.signal)
})

test('Y35 a wait that has ended listens to nothing any more', async () => {
  const { clock, board, stop, bookmark } = createGlobal()
  let listeners = 0
  const counted = {
    ...board,
    onChange(listener: () => void) {
      listeners += 1
      const listening = board.onChange(listener)
      return {
        [Symbol.dispose]() {
          listeners -= 1
          listening[Symbol.dispose]()
        },
      }
    },
  }
  const options = { revision: 5, level: 'stored', zones: ['east'], timeoutMs: 100 } as const
  const reached = untilReached(clock, counted, options, 1, stop.signal)
  expect(listeners).toBe(1)
  bookmark('east', 5)
  await reached
  expect(listeners).toBe(0)
  const late = untilReached(clock, counted, { ...options, zones: ['west'] }, 1, stop.signal)
  clock.advance(100)
  await late
  expect(listeners).toBe(0)
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
})
