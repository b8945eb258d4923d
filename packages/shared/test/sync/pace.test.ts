import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { type Bookmark, type Hello, noCounters } from '../../src/sync/log/messages.ts'
import { createPace } from '../../src/sync/pace.ts'
import { createZoneBoard } from '../../src/sync/zone-status.ts'

const hello: Hello = {
  protocol: { min: 1, max: 1, features: [] },
  storeId: 'store',
  incarnation: 1,
  host: 'host',
  startedAtMs: 0,
  version: 'test',
  position: undefined,
  creditBytes: 1,
  replica: 'replica',
  uncovered: [],
}
const bookmark = (stored: number): Bookmark => ({
  sent: 0,
  mark: 0,
  stored,
  served: 0,
  holds: [],
  blocked: '',
  verdicts: [],
  counters: noCounters,
  silentProxies: [],
  wallClockMs: 0,
})

/** A pace with connected zones that have stored nothing yet. */
function paceOf(...zones: readonly string[]) {
  const clock = createVirtualClock()
  const board = createZoneBoard(clock, () => {})
  for (const zone of zones) board.connected(zone, 1, hello, 0, { protocol: 1, features: [] })
  const keepPace = createPace(clock, board, () => zones)
  const closed = new AbortController()
  let revision = 0
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
  }
  return {
    clock,
    settle,
    close: () => closed.abort(),
    /** `mayGoOn` shows whether the next commit may begin. */
    async commit(rows: number) {
      revision += 1
      let ended = false
      void keepPace({ revision, rows }, closed.signal).then(() => {
        ended = true
      })
      await settle()
      return { mayGoOn: () => ended }
    },
    async stored(zone: string, upTo: number) {
      board.bookmark(zone, bookmark(upTo), { sent: 0, stored: 0 })
      await settle()
    },
  }
}

describe('the pace of large commits', () => {
  it('Y18 the first 1,000 rows do not wait, and each later large commit waits until all but 1,000 rows are stored', async () => {
    const pace = paceOf('west')
    expect((await pace.commit(500)).mayGoOn()).toBe(true)
    expect((await pace.commit(500)).mayGoOn()).toBe(true)
    const third = await pace.commit(500)
    expect(third.mayGoOn()).toBe(false)
    await pace.stored('west', 1)
    expect(third.mayGoOn()).toBe(true)
    const fourth = await pace.commit(1_000)
    await pace.stored('west', 2)
    expect(fourth.mayGoOn()).toBe(false)
    await pace.stored('west', 3)
    expect(fourth.mayGoOn()).toBe(true)
  })

  it('Y18 commits of 1,001 rows together wait, and of 1,000 rows do not', async () => {
    const fits = paceOf('west')
    await fits.commit(500)
    expect((await fits.commit(500)).mayGoOn()).toBe(true)
    const exceeds = paceOf('west')
    await exceeds.commit(500)
    expect((await exceeds.commit(501)).mayGoOn()).toBe(false)
  })

  it('Y18 a commit of a few rows never waits', async () => {
    const pace = paceOf('west')
    for (let count = 0; count < 3; count += 1) await pace.commit(500)
    expect((await pace.commit(49)).mayGoOn()).toBe(true)
    expect((await pace.commit(50)).mayGoOn()).toBe(false)
  })

  it('Y18 half of the connected zones set the pace', async () => {
    const pace = paceOf('north', 'east', 'south')
    await pace.commit(1_000)
    const second = await pace.commit(1_000)
    await pace.stored('north', 1)
    expect(second.mayGoOn()).toBe(false)
    await pace.stored('south', 1)
    expect(second.mayGoOn()).toBe(true)
  })

  it('Y18 a commit does not wait without connected zones, longer than 500 ms, or for a plane that stops', async () => {
    const alone = paceOf()
    await alone.commit(1_000)
    expect((await alone.commit(1_000)).mayGoOn()).toBe(true)
    const pace = paceOf('west')
    await pace.commit(1_000)
    const second = await pace.commit(1_000)
    pace.clock.advance(499)
    await pace.settle()
    expect(second.mayGoOn()).toBe(false)
    pace.clock.advance(1)
    await pace.settle()
    expect(second.mayGoOn()).toBe(true)
    const third = await pace.commit(1_000)
    expect(third.mayGoOn()).toBe(false)
    pace.close()
    await pace.settle()
    expect(third.mayGoOn()).toBe(true)
  })
})
