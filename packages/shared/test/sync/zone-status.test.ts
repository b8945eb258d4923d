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
  expect(status()).toMatchObject({ lag: 1, lagMs: 50 })
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

test('Y35 a zone that was only ever refused shows the refusal, and nothing else', () => {
  const clock = createVirtualClock(50)
  const board = createZoneBoard(clock, () => {})
  board.refused('east', { code: 'refused', reason: 'the token has expired' })
  expect(board.status('east')).toEqual({
    ...{ zone: 'east', connected: false, sinceMs: 0, epoch: 0, storeId: '', incarnation: 0, host: '', startedAtMs: 0 },
    ...{ version: '', agreement: { protocol: 0, features: [] }, sent: 0, stored: 0, served: 0, lag: 0, lagMs: 0 },
    ...{ current: false, up: { sent: 0, stored: 0 }, lastBookmarkAtMs: 0, clockAheadMs: 0, lastProgressAtMs: 0 },
    ...{ holds: [], blocked: '', verdicts: [], silentProxies: [], counters: noCounters, report: {}, reportLeftOut: 0 },
    ...{ lastEnd: 'the token has expired', lastEndCode: 'refused', lastEndAtMs: 50 },
  })
  expect([...board.own().keys()]).toEqual(['east'])
})

test('Y35 a bookmark shows what the zone has sent and what is stored of it, its counters and its clock', () => {
  const { clock, board, status } = createBoard()
  clock.advance(20)
  const counters = { ...noCounters, rowsReceived: 3 }
  board.bookmark('east', bookmark(5, { sent: 8, counters, wallClockMs: 25, blocked: 'full' }), { sent: 6, stored: 7 })
  expect(status()).toMatchObject({
    ...{ sent: 6, up: { sent: 8, stored: 7 }, counters, clockAheadMs: 5, blocked: 'full' },
    ...{ lastBookmarkAtMs: 20, lastProgressAtMs: 0 },
  })
  board.connected('east', 2, hello, 5, { protocol: 1, features: ['f'] })
  expect(status()).toMatchObject({ blocked: '', sinceMs: 20, agreement: { protocol: 1, features: ['f'] } })
})

test('Y35 a goodbye is shown with its code', () => {
  const { clock, board, status } = createBoard()
  expect(status()?.lastEndAtMs).toBe(0)
  clock.advance(1)
  board.ended('east', { reason: 'replaced', goodbye: { code: 'fenced', reason: 'replaced', by: 'peer' } })
  expect(status()).toMatchObject({ lastEnd: 'replaced', lastEndCode: 'fenced' })
})

test('Y35 the newest 4,096 marks and the newest 1,024 steps of a zone have a time', () => {
  const { clock, board } = createBoard()
  clock.advance(1)
  for (let revision = 6; revision <= 4_100; revision += 1) board.marked(revision)
  expect(board.committedAtMs(1)).toBe(0)
  board.marked(4_101)
  expect(board.committedAtMs(1)).toBe(1)
  for (let stored = 6; stored <= 1_028; stored += 1) board.bookmark('east', bookmark(stored), own)
  expect(board.progressOf('east')).toHaveLength(1_024)
  expect(board.progressOf('east')[0]?.stored).toBe(5)
  board.bookmark('east', bookmark(1_029), own)
  expect(board.progressOf('east')).toHaveLength(1_024)
  expect(board.progressOf('east')[0]?.stored).toBe(6)
  expect(board.progressOf('unknown')).toEqual([])
})

test('Y16 the newest mark is unknown before the first read, and once the last read is 3 s old', () => {
  const clock = createVirtualClock(5_000)
  const board = createZoneBoard(clock, () => {})
  expect(board.newestMark()).toBeUndefined()
  expect(board.marked(0)).toBe(false)
  expect(board.newestMark()).toBe(0)
  expect(board.marked(4)).toBe(true)
  clock.advance(2_999)
  expect(board.newestMark()).toBe(4)
  clock.advance(1)
  expect(board.newestMark()).toBeUndefined()
})

test('Y22 the status of a newer session replaces the former one, and the status of an older one never does', () => {
  const { clock, board, status } = createBoard()
  const published = board.status('east')
  if (!published) throw new Error('a status was expected')
  const at = (epoch: number, stored: number) => ({ ...published, epoch, stored, served: stored, connected: true })
  // The own session of the same epoch knows more than what was published about it.
  board.followed('east', { status: at(1, 3), bookmarkAtMs: 0 })
  expect(status()?.stored).toBe(5)
  expect([...board.own().keys()]).toEqual(['east'])
  clock.advance(10)
  board.marked(6)
  board.followed('east', { status: at(3, 6), bookmarkAtMs: 8 })
  expect(status()).toMatchObject({ epoch: 3, stored: 6, current: true })
  expect(board.progressOf('east').at(-1)).toEqual({ stored: 6, served: 6, atMs: 10 })
  expect([...board.own().keys()]).toEqual([])
  board.followed('east', { status: at(2, 4), bookmarkAtMs: 9 })
  expect(status()?.epoch).toBe(3)
  // It is as old as the last frame of the zone at the other replica.
  board.marked(6)
  clock.advance(2_990)
  board.marked(6)
  clock.advance(2_990)
  board.marked(6)
  clock.advance(1_017)
  expect(status()?.current).toBe(true)
  clock.advance(1)
  expect(status()?.current).toBe(false)
  // A later status of the same session counts, and so does a refusal here, which begins no session.
  board.followed('east', { status: at(3, 6), bookmarkAtMs: 7_000 })
  expect(status()?.current).toBe(true)
  board.refused('east', { code: 'refused', reason: 'no' })
  expect([...board.own().keys()]).toEqual([])
  expect(status()).toMatchObject({ lastEnd: 'no', epoch: 3 })
})

test('Y22 a status that was published again without a change notifies nobody', () => {
  const { board } = createBoard()
  const published = board.status('east')
  if (!published) throw new Error('a status was expected')
  let changes = 0
  const listening = board.onChange(() => {
    changes += 1
  })
  const followed = { status: { ...published, epoch: 2 }, bookmarkAtMs: 0 }
  board.followed('east', followed)
  board.followed('east', followed)
  expect(changes).toBe(1)
  listening[Symbol.dispose]()
  board.bookmark('east', bookmark(5), own)
  expect(changes).toBe(1)
})

test('Y22 a replica publishes the zones of its own sessions with the time of their last bookmark', () => {
  const clock = createVirtualClock(10)
  const statuses: string[] = []
  const board = createZoneBoard(clock, ({ zone, stored }) => statuses.push(`${zone} ${stored}`))
  board.connected('east', 1, hello, undefined, { protocol: 1, features: [] })
  expect(board.own().get('east')).toMatchObject({
    status: { stored: 0, connected: true, current: false },
    bookmarkAtMs: Number.NEGATIVE_INFINITY,
  })
  board.bookmark('east', bookmark(3), own)
  expect(board.own().get('east')).toMatchObject({ status: { stored: 3 }, bookmarkAtMs: 10 })
  expect(statuses).toEqual(['east 0', 'east 3'])
})

test('Y39 what does not fit into the report of a zone is counted in its status', () => {
  const board = createZoneBoard(createVirtualClock(), () => {}, 10)
  board.report('east', {
    reset: true,
    changed: [
      { key: 'a', value: {} },
      { key: 'b', value: { n: 1 } },
    ],
    removed: [],
  })
  expect(board.status('east')).toMatchObject({ report: { a: {} }, reportLeftOut: 1 })
  board.report('east', { reset: false, changed: [{ key: 'c', value: {} }], removed: ['a'] })
  expect(board.status('east')?.report).toEqual({ c: {} })
  expect(board.status('east')?.reportLeftOut).toBe(1)
})

/** A global that starts at revision 5, and what its board reports for metrics. */
function createObservedBoard() {
  const clock = createVirtualClock()
  const seen: string[] = []
  const board = createZoneBoard(clock, () => {}, undefined, {
    reached: (zone, level, delayMs) => void seen.push(`${zone} ${level} after ${delayMs}`),
    progressed() {},
    held: (zone) => void seen.push(`${zone} holds`),
    connected: (zone, isReconnect) => void seen.push(`${zone} ${isReconnect ? 'reconnects' : 'connects'}`),
    refused: (zone) => void seen.push(`${zone} refused`),
    callerRefused: () => void seen.push('caller refused'),
  })
  const connect = (zone: string, epoch: number, stored: number | undefined) =>
    board.connected(zone, epoch, hello, stored, { protocol: 1, features: [] })
  board.marked(5)
  return { clock, board, connect, seen: () => seen.splice(0) }
}

test('MT5 each mark is reported once per zone when it is stored and once when it is served, with the time since its commit', () => {
  const { clock, board, connect, seen } = createObservedBoard()
  connect('east', 1, 5)
  board.bookmark('east', bookmark(5), own)
  expect(seen()).toEqual(['east connects'])
  clock.advance(100)
  board.marked(6)
  clock.advance(10)
  board.marked(8)
  clock.advance(5)
  board.bookmark('east', bookmark(6, { served: 5 }), own)
  expect(seen()).toEqual(['east stored after 15'])
  clock.advance(5)
  board.bookmark('east', bookmark(8, { served: 8 }), own)
  expect(seen()).toEqual(['east stored after 10', 'east served after 10', 'east served after 20'])
  board.bookmark('east', bookmark(8, { served: 8 }), own)
  expect(seen()).toEqual([])
})

test('MT5 marks from before the start of the global, or from before a zone joined, have no delay', () => {
  const { clock, board, connect, seen } = createObservedBoard()
  clock.advance(1_000)
  connect('east', 1, 3)
  board.bookmark('east', bookmark(5), own)
  board.marked(6)
  clock.advance(1_000)
  connect('west', 2, undefined)
  board.bookmark('west', bookmark(6), own)
  expect(seen()).toEqual(['east connects', 'west connects'])
  clock.advance(7)
  board.marked(7)
  clock.advance(3)
  board.bookmark('west', bookmark(7), own)
  expect(seen()).toEqual(['west stored after 3', 'west served after 3'])
})

test('MT5 the delay of a commit includes the time for which the zone was not connected', () => {
  const { clock, board, connect, seen } = createObservedBoard()
  connect('east', 1, 5)
  board.bookmark('east', bookmark(5), own)
  board.ended('east', { reason: 'lost', goodbye: undefined })
  board.marked(6)
  clock.advance(60_000)
  connect('east', 2, 5)
  board.bookmark('east', bookmark(6), own)
  expect(seen()).toEqual(['east connects', 'east reconnects', 'east stored after 60000', 'east served after 60000'])
})

test('MT9 a hold is reported once, also if a new session repeats it', () => {
  const { board, connect, seen } = createObservedBoard()
  connect('east', 1, 5)
  board.bookmark('east', bookmark(5, { holds: [hold] }), own)
  board.bookmark('east', bookmark(5, { holds: [hold] }), own)
  connect('east', 2, 5)
  board.bookmark('east', bookmark(5), own)
  board.bookmark('east', bookmark(5, { holds: [hold] }), own)
  expect(seen()).toEqual(['east connects', 'east holds', 'east reconnects'])
  board.bookmark('east', bookmark(5, { holds: [{ ...hold, id: 'h2' }] }), own)
  expect(seen()).toEqual(['east holds'])
})

test('MT10 a session is a reconnect if the zone had one before, and a refused session is reported as such', () => {
  const { board, connect, seen } = createObservedBoard()
  board.refused('east', { code: 'held-by-another', reason: 'another control plane runs as this zone' })
  connect('east', 1, 5)
  connect('west', 1, 5)
  connect('east', 2, 5)
  expect(seen()).toEqual(['east refused', 'east connects', 'west connects', 'east reconnects'])
})
