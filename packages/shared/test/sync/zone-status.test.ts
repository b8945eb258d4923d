import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { type Bookmark, type Hello, noCounters } from '../../src/sync/log/messages.ts'
import { createZoneBoard } from '../../src/sync/zone-status.ts'

const hello: Hello = {
  protocol: { min: 1, max: 1, features: [] },
  ...{ storeId: 'zone-store', incarnation: 1, host: 'h', startedAtMs: 0, version: 't', position: undefined },
  ...{ creditBytes: 1, replica: 'r', uncovered: [] },
}
const bookmark = (stored: number, more: Partial<Bookmark> = {}): Bookmark => ({
  ...{ sent: 0, mark: 0, stored, served: stored, holds: [], blocked: '', verdicts: [], counters: noCounters },
  ...{ silentProxies: [], wallClockMs: 0 },
  ...more,
})
const own = { sent: 0, stored: 0 }
const hold = { id: 'h1', origin: 'global', reason: 'too much', removals: 20 }

/** A global at revision 5, and a zone that has a session and has stored all. */
function createBoard() {
  const clock = createVirtualClock()
  const board = createZoneBoard(clock, () => {})
  board.marked(5)
  board.connected('east', 1, hello, 0, { protocol: 1, features: [] })
  board.bookmark('east', bookmark(5), own)
  return { clock, board, status: () => board.zones().get('east') }
}

test('Y16 the global calls a zone current while it has stored everything, its bookmarks are fresh and the newest mark is known', () => {
  const { clock, board, status } = createBoard()
  expect(status()).toMatchObject({ current: true, lag: 0, lagMs: 0 })
  clock.advance(2_900)
  board.marked(5)
  clock.advance(2_900)
  board.marked(5)
  clock.advance(1_199)
  expect(status()?.current).toBe(true)
  // The last bookmark is 7 s old.
  clock.advance(1)
  expect(status()?.current).toBe(false)
  board.bookmark('east', bookmark(5), own)
  expect(status()?.current).toBe(true)
  // The store of the global has not answered for 3 s: it may have a newer mark.
  clock.advance(1_799)
  expect(status()?.current).toBe(true)
  clock.advance(1)
  expect(status()?.current).toBe(false)
})

test('Y16 a zone that holds a change is not current, although it has stored the newest revision', () => {
  const { board, status } = createBoard()
  board.bookmark('east', bookmark(5, { holds: [hold] }), own)
  expect(status()).toMatchObject({ current: false, lag: 0, holds: [hold] })
  board.bookmark('east', bookmark(5), own)
  expect(status()?.current).toBe(true)
})

test('Y16 a zone that is behind shows how many revisions it lacks, and since when the first of them is missing', () => {
  const { clock, board, status } = createBoard()
  clock.advance(100)
  board.marked(6)
  clock.advance(50)
  board.marked(8)
  expect(status()).toMatchObject({ current: false, lag: 3, lagMs: 50 })
  clock.advance(10)
  expect(status()).toMatchObject({ lag: 3, lagMs: 60 })
  board.bookmark('east', bookmark(6), own)
  expect(status()).toMatchObject({ lag: 2, lagMs: 10 })
})

test('Y16 a zone without a session is not current, and its last end is shown with the time', () => {
  const { clock, board, status } = createBoard()
  clock.advance(10)
  board.ended('east', { reason: 'the line is cut', goodbye: undefined })
  expect(status()).toMatchObject({
    connected: false,
    current: false,
    lastEnd: 'the line is cut',
    lastEndAtMs: 10,
    sinceMs: 10,
  })
  expect(status()?.lastEndCode).toBeUndefined()
  board.connected('east', 2, hello, 5, { protocol: 1, features: [] })
  // The bookmark of the former session is still fresh.
  expect(status()).toMatchObject({ connected: true, current: true, epoch: 2, lastEnd: 'the line is cut' })
})

test('Y21 what a zone of another store, or without a valid position, has served is forgotten when it connects', () => {
  const { board, status } = createBoard()
  const verdict = { key: 'k', revision: 4, outcome: 'rejected', reason: 'no', subject: 'p' } as const
  board.bookmark('east', bookmark(5, { verdicts: [verdict], silentProxies: ['p'] }), own)
  board.connected('east', 2, hello, 5, { protocol: 1, features: [] })
  expect(status()).toMatchObject({ stored: 5, served: 5, verdicts: [verdict], silentProxies: ['p'] })
  board.connected('east', 3, hello, undefined, { protocol: 1, features: [] })
  expect(status()).toMatchObject({ stored: 0, served: 0, verdicts: [], silentProxies: [] })
  board.bookmark('east', bookmark(5), own)
  board.connected('east', 4, { ...hello, storeId: 'another' }, 5, { protocol: 1, features: [] })
  expect(status()).toMatchObject({ stored: 5, served: 0 })
})

test('Y35 the first time at which a zone had more is kept, and a step back is none', () => {
  const { clock, board } = createBoard()
  clock.advance(10)
  board.bookmark('east', bookmark(6, { served: 5 }), own)
  clock.advance(10)
  board.bookmark('east', bookmark(6, { served: 5 }), own)
  board.bookmark('east', bookmark(4, { served: 4 }), own)
  clock.advance(10)
  board.bookmark('east', bookmark(6, { served: 6 }), own)
  expect(board.progressOf('east')).toEqual([
    { stored: 5, served: 5, atMs: 0 },
    { stored: 6, served: 5, atMs: 10 },
    { stored: 6, served: 6, atMs: 30 },
  ])
  expect(board.status('east')?.lastProgressAtMs).toBe(30)
})

test('Y35 the time of a commit is that of the first mark which contains it', () => {
  const { clock, board } = createBoard()
  clock.advance(10)
  expect(board.marked(7)).toBe(true)
  expect(board.marked(7)).toBe(false)
  expect(board.marked(6)).toBe(false)
  expect([5, 6, 7, 8].map((revision) => board.committedAtMs(revision))).toEqual([0, 10, 10, undefined])
})
