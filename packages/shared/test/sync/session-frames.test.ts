import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '../../src/store/errors.ts'
import type { Change, Store } from '../../src/store/store.ts'
import { type Delivered, type Message, noCounters } from '../../src/sync/log/messages.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { put, write } from './mesh.ts'
import { ofWest, openSession } from './raw-session.ts'

const live = (kind: string, name: string, origin = 'west', incarnation = 1): Delivered => {
  const key = { origin, kind, mesh: 'default', name }
  const stamp = { incarnation, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
  return { key, stamp, state: 'live', row: { key, stamp, labels: {}, spec: {} } }
}
const rows = (...found: Delivered[]): Message => ({ type: 'rows', rows: found, bytes: 0 })
const mark = (revision: number, store = 'store-of-west'): Message => ({
  type: 'mark',
  position: { ...ofWest(revision), store },
})
const credit: Message = { type: 'credit', bytes: 1 }

describe('the frames of a session', () => {
  it('Y2 frames are counted from 1: a repeated frame is dropped, and a gap ends the session', async () => {
    const { receive, events, over, sent } = await openSession()
    await receive({ type: 'release', hold: 'a' }, 1)
    await receive({ type: 'release', hold: 'again' }, 1)
    await receive({ type: 'release', hold: 'b' }, 2)
    expect(events).toEqual(['release a', 'release b'])
    await receive({ type: 'release', hold: 'd' }, 4)
    expect(events).toEqual(['release a', 'release b', 'channel ended'])
    expect(sent.at(-1)).toEqual({ type: 'goodbye', goodbye: { code: 'gap', reason: 'expected frame 3, found 4' } })
    expect(over()).toMatchObject({ goodbye: { code: 'gap', by: 'self' }, reason: 'expected frame 3, found 4' })
  })

  it('Y26 a frame that cannot be read ends the session with its reason, and later frames count for nothing', async () => {
    const { receive, receiveBytes, settle, events, over } = await openSession()
    receiveBytes(Uint8Array.of(255, 255))
    await settle()
    expect(over()).toMatchObject({ goodbye: { code: 'protocol' } })
    expect(over()?.reason).toMatch(/^a frame of 2 bytes cannot be read: ./)
    await receive({ type: 'release', hold: 'a' })
    expect(events).toEqual(['channel ended'])
  })

  it('Y24 a frame of an unknown kind is ignored, and counts as a sign of life', async () => {
    const { clock, receiveBytes, settle, over } = await openSession()
    for (let second = 0; second < 20; second += 1) {
      clock.advance(1_000)
      receiveBytes(new Uint8Array())
    }
    await settle()
    expect(over()).toBeUndefined()
  })

  it('Y2 a goodbye of the peer ends the session with its code', async () => {
    const { receive, events, over, sent } = await openSession()
    const frames = sent.length
    await receive({ type: 'goodbye', goodbye: { code: 'shutdown', reason: 'the zone stops' } })
    expect(over()).toEqual({
      goodbye: { code: 'shutdown', reason: 'the zone stops', by: 'peer' },
      reason: 'the zone stops',
    })
    expect([events, sent.length]).toEqual([['channel ended'], frames])
  })

  it('Y2 a lost connection ends the session without a goodbye', async () => {
    const { lose, settle, over } = await openSession()
    lose('the line is cut')
    await settle()
    expect(over()).toEqual({ goodbye: undefined, reason: 'the line is cut' })
  })

  it('Y29 marks, bookmarks and reports of the peer are passed on', async () => {
    const { receive, events, sentOf } = await openSession()
    await receive(mark(1))
    const [bookmark] = sentOf('bookmark')
    if (!bookmark) throw new Error('a bookmark was expected')
    await receive({ ...bookmark, bookmark: { ...bookmark.bookmark, stored: 4 } })
    await receive({ type: 'report', report: { reset: false, changed: [], removed: ['k'] } })
    expect(events).toEqual(['mark 1', 'applied 1 at 1: 1', 'bookmark 4', 'report k'])
  })

  it('Y2 nothing is sent after the end of a session', async () => {
    const { clock, session, settle, sent, store } = await openSession()
    session.end('shutdown', 'stop')
    session.end('failed', 'again')
    const frames = sent.length
    expect(sent.at(-1)).toMatchObject({ type: 'goodbye', goodbye: { code: 'shutdown' } })
    await session.report({ reset: false, changed: [], removed: [] })
    session.announce()
    session.wake()
    session.late(['east'], 0)
    await write(store, put('global', 'Policy', 'a'))
    clock.advance(60_000)
    await settle()
    expect(sent).toHaveLength(frames)
  })

  it('Y2 the frames of a session are numbered from 1, in the order of the calls', async () => {
    const { session, sentOf, sent, numbers } = await openSession()
    session.askRelease('h')
    expect(sentOf('release')).toEqual([{ type: 'release', hold: 'h' }])
    await session.report({ reset: true, changed: [], removed: [] })
    expect(sent.at(-1)).toMatchObject({ type: 'report', report: { reset: true } })
    expect(numbers).toEqual(numbers.map((_unused, index) => index + 1))
  })
})

describe('a round of the peer', () => {
  it('Y3 Y30 a round is written in one commit with the position, and reported with the mark that contains it', async () => {
    const { receive, store, session, events } = await openSession()
    await receive(rows(live('Dataplane', 'a'), live('Service', 's')))
    expect((await store.head()).revision).toBe(0)
    await receive(mark(5))
    expect(events).toEqual(['mark 5', 'applied 5 at 1: 3'])
    expect(session.stored()).toEqual(ofWest(5))
    const [record] = await store.records({ after: 0, limit: 10 })
    expect(record).toMatchObject({ subject: 'west', intent: 'sync up to 5', rows: 3 })
    await receive(rows(live('Dataplane', 'b')))
    await receive(mark(6))
    // Each report names only the rows of its own round.
    expect(events.at(-1)).toBe('applied 6 at 2: 2')
    expect(session.counters()).toMatchObject({ rowsReceived: 3, rowsApplied: 5, rowsRefused: 0 })
  })

  it('L6 rows that the peer may not send are counted and not written', async () => {
    const { receive, store, session } = await openSession()
    await receive(rows(live('Dataplane', 'a'), live('Policy', 'b'), live('Dataplane', 'c', 'east')))
    await receive(mark(5))
    expect((await store.scan({ kind: 'Dataplane' })).map(({ key }) => key.origin)).toEqual(['west'])
    expect(await store.scan({ kind: 'Policy' })).toEqual([])
    expect(session.counters()).toMatchObject({ rowsReceived: 3, rowsRefused: 2 })
    expect(session.counters().bytesReceived).toBeGreaterThan(0)
  })

  it('Z10 derived rows are in the same commit, and a round without rows derives nothing', async () => {
    let calls = 0
    const derive = async () => {
      calls += 1
      return [put('global', 'Service', 'derived')]
    }
    const { receive, store } = await openSession({ derive })
    await receive(mark(1))
    expect(calls).toBe(0)
    await receive(rows(live('Dataplane', 'a')))
    await receive(mark(2))
    expect(calls).toBe(1)
    expect((await store.head()).revision).toBe(2)
    expect(await store.scan({ kind: 'Service' })).toHaveLength(1)
  })

  it('Y4 a round of a session that is not the newest one ends the session, and nothing of it is written', async () => {
    const key = { origin: 'global', kind: 'SyncEpoch', mesh: '', name: 'west' }
    const guard: Change = { op: 'check', key, expect: { revision: 7 } }
    const { receive, store, over } = await openSession({ guards: [guard] })
    await receive(rows(live('Dataplane', 'a')))
    await receive(mark(1))
    expect(over()).toMatchObject({ goodbye: { code: 'fenced', by: 'self' } })
    expect((await store.head()).revision).toBe(0)
  })

  it('Y4 a refused round without guards is a fault, and the session fails', async () => {
    const refuse = {
      op: 'check',
      key: { origin: 'global', kind: 'K', mesh: '', name: 'a' },
      expect: { present: true },
    } as const
    const { receive, over } = await openSession({ derive: async () => [refuse] })
    await receive(rows(live('Dataplane', 'a')))
    await receive(mark(1))
    expect(over()).toMatchObject({ goodbye: { code: 'failed' } })
    expect(over()?.reason).toContain('the store refused a round of west')
  })

  it('Y11 how many rows of a former incarnation stay is recorded in the same commit', async () => {
    const stayed: number[] = []
    const formerStays = (count: number) => {
      stayed.push(count)
      return [put('global', 'SyncFormer', 'west')]
    }
    const { receive, store } = await openSession({ formerBelow: 2, formerStays })
    await receive(rows(live('Dataplane', 'old'), live('Dataplane', 'kept')))
    await receive(mark(1))
    await receive({ type: 'replace', origins: ['west'], position: ofWest(2), reason: 'diverged' })
    await receive(rows(live('Dataplane', 'kept', 'west', 2)))
    await receive(mark(2))
    expect(stayed).toEqual([1])
    expect(await store.scan({ kind: 'SyncFormer' })).toHaveLength(1)
    expect((await store.head()).revision).toBe(2)
  })

  it('L7 the origins that a relaying peer has not named are stored with the position', async () => {
    const scene = await openSession({ relays: true })
    await write(scene.store, put('east', 'Service', 's'), put('global', 'Policy', 'own'), put('west', 'Dataplane', 'a'))
    await scene.receive({ type: 'replace', origins: ['west'], position: ofWest(3), reason: 'new' })
    await scene.receive(mark(3))
    const [position] = await scene.store.scan({ kind: 'SyncPosition' })
    expect(position?.spec).toMatchObject({ revision: 3, uncovered: ['east'] })
    expect(await scene.store.scan({ kind: 'Dataplane' })).toEqual([])
  })

  it('Y2 a round that is written after the end of the session still moves the position', async () => {
    const gate = Promise.withResolvers<void>()
    const slow = (store: Store): Store => ({
      ...store,
      async commitRound(...args) {
        await gate.promise
        return store.commitRound(...args)
      },
    })
    const { receive, session, settle, events, over } = await openSession({}, slow)
    await receive(rows(live('Dataplane', 'a')))
    await receive(mark(3))
    session.end('shutdown', 'stop')
    await settle()
    // The session ends after its last effect.
    expect(over()).toBeUndefined()
    gate.resolve()
    await settle()
    expect(over()).toMatchObject({ reason: 'stop' })
    expect(events).toEqual(['mark 3', 'channel ended', 'applied 3 at 1: 2'])
  })
})

describe('what a bookmark says', () => {
  const last = (scene: Awaited<ReturnType<typeof openSession>>) => scene.sentOf('bookmark').at(-1)?.bookmark
  async function afterBeat(scene: Awaited<ReturnType<typeof openSession>>) {
    await scene.settle()
    scene.clock.advance(2_100)
    await scene.settle()
    return last(scene)
  }

  it('Y16 a new session has sent and counted nothing', async () => {
    const scene = await openSession()
    expect(last(scene)).toMatchObject({ sent: 0, mark: 0, stored: 0, served: 0, counters: noCounters })
  })

  it('Y16 a bookmark has the time of its sender, and repeats that of the newest bookmark of the peer', async () => {
    const scene = await openSession()
    const [first] = scene.sentOf('bookmark')
    if (!first) throw new Error('the session has sent no bookmark')
    expect(first.bookmark.echoMs).toBeUndefined()
    for (const sentAtMs of [70, 90]) await scene.receive({ ...first, bookmark: { ...first.bookmark, sentAtMs } })
    expect(await afterBeat(scene)).toMatchObject({ echoMs: 90, sentAtMs: 2_000 })
  })

  it('L8 a bookmark brings the credit for the rows received so far', async () => {
    const scene = await openSession()
    await scene.receive(rows(live('Dataplane', 'a')))
    expect(scene.sentOf('credit')).toEqual([])
    await afterBeat(scene)
    expect(scene.sentOf('credit')).toEqual([{ type: 'credit', bytes: scene.session.counters().bytesReceived }])
  })

  it('Y16 the sent, newest and stored marks are reported, and what is served of the same store', async () => {
    const served = { ...nothingServed, served: ofWest(3), silentProxies: ['p'], proxies: 4, proxiesConnected: 3 }
    const scene = await openSession({ served: () => served })
    await scene.receive(mark(5))
    await write(scene.store, put('global', 'Policy', 'a'))
    expect(await afterBeat(scene)).toMatchObject({
      ...{ sent: 2, mark: 2, stored: 5, served: 3, holds: [], blocked: '', verdicts: [], silentProxies: ['p'] },
      ...{ wallClockMs: 2_005, counters: { proxies: 4, proxiesConnected: 3, rowsApplied: 1 } },
    })
    const foreign = await openSession({ served: () => ({ ...served, served: { ...ofWest(3), store: 'other' } }) })
    expect(last(foreign)).toMatchObject({ served: 0 })
  })

  it('Y21 a position that the peer does not have counts only once a mark of the peer is stored', async () => {
    const scene = await openSession({ position: ofWest(4), positionCounts: false })
    expect(last(scene)?.stored).toBe(0)
    expect(scene.events).toEqual([])
    await scene.receive(mark(6))
    expect((await afterBeat(scene))?.stored).toBe(6)
    const valid = await openSession({ position: ofWest(4) })
    expect(last(valid)?.stored).toBe(4)
    expect(valid.events).toEqual(['applied 4 at 0: 0'])
  })

  it('Y16 the newest mark is the one of the plane, and unknown while its store does not answer', async () => {
    let newest: number | undefined = 9
    const scene = await openSession({ newestMark: () => newest })
    expect(last(scene)?.mark).toBe(9)
    newest = undefined
    expect((await afterBeat(scene))?.mark).toBe(Number.MAX_SAFE_INTEGER)
    newest = 0
    await write(scene.store, put('global', 'Policy', 'a'))
    // This session has read a newer mark than the plane.
    expect((await afterBeat(scene))?.mark).toBe(1)
  })

  it('Y19 the reason why the store refuses writes is reported, and the round is written later', async () => {
    let fault: Error | undefined
    const faulty = (store: Store): Store => ({
      ...store,
      async commitRound(...args) {
        if (fault) throw fault
        return store.commitRound(...args)
      },
    })
    const scene = await openSession({}, faulty)
    fault = new StoreUnavailableError('the disk is full')
    await scene.receive(rows(live('Dataplane', 'a')))
    await scene.receive(mark(1))
    scene.clock.advance(10)
    expect(last(scene)?.blocked).toBe('the disk is full')
    fault = undefined
    scene.clock.advance(1_000)
    await scene.settle()
    expect((await afterBeat(scene))?.blocked).toBe('')
    expect(scene.events).toEqual(['mark 1', 'blocked the disk is full', 'blocked ', 'applied 1 at 1: 2'])
  })

  it('Y19 a session that ends does not wait for a store that refuses writes', async () => {
    const refusing = (store: Store): Store => ({
      ...store,
      commitRound: () => Promise.reject(new StoreUnavailableError('the disk is full')),
    })
    const scene = await openSession({}, refusing)
    await scene.receive(rows(live('Dataplane', 'a')))
    await scene.receive(mark(1))
    expect(scene.over()).toBeUndefined()
    scene.session.end('shutdown', 'stop')
    await scene.settle()
    expect(scene.over()).toMatchObject({ reason: 'stop' })
    expect(scene.events).toEqual(['mark 1', 'blocked the disk is full', 'channel ended'])
  })

  it('Y8 a hold is reported until it is released', async () => {
    const scene = await openSession({ holds: true, position: ofWest(9) })
    await write(scene.store, put('west', 'Dataplane', 'mine'))
    await scene.receive({ type: 'replace', origins: ['west'], position: ofWest(3), reason: 'diverged' })
    await scene.receive(mark(3))
    const id = 'history:store-of-west'
    expect(scene.session.hold()?.id).toBe(id)
    // It is reported soon, and not only with the next regular bookmark.
    scene.clock.advance(10)
    expect(last(scene)?.holds).toMatchObject([{ id }])
    scene.session.release(id)
    await scene.settle()
    expect((await afterBeat(scene))?.holds).toEqual([])
    expect(scene.events).toEqual(['applied 9 at 0: 0', 'mark 3', `hold ${id}`, 'hold undefined', 'applied 3 at 2: 2'])
  })
})

describe('the rows that a session sends', () => {
  it('Y37 a hint that was lost is made up for by a look every 30 s', async () => {
    const deaf = (store: Store): Store => ({ ...store, onMark: () => ({ [Symbol.dispose]() {} }) })
    const scene = await openSession({}, deaf)
    await write(scene.store, put('global', 'Policy', 'a'))
    const pass = async (toMs: number) => {
      while (scene.clock.monotonicMs() < toMs) {
        scene.clock.advance(Math.min(1_000, toMs - scene.clock.monotonicMs()))
        await scene.receive(credit)
      }
    }
    await pass(29_999)
    expect(scene.sentOf('rows')).toEqual([])
    await pass(30_000)
    expect(scene.sentOf('rows')).toHaveLength(1)
    await write(scene.store, put('global', 'Policy', 'b'))
    await pass(59_999)
    expect(scene.sentOf('rows')).toHaveLength(1)
    await pass(60_000)
    expect(scene.sentOf('rows')).toHaveLength(2)
  })

  it('Y1 a peer with a valid position gets the changes after it, and any other a replacement with the reason', async () => {
    const scene = await openSession()
    const peerPosition = await write(scene.store, put('global', 'Policy', 'a'))
    const again = (store: Store): Store => ({ ...store, ...scene.store })
    const valid = await openSession(
      { peerStanding: 'valid', peerPosition, changesSince: scene.store.changesSince },
      again,
    )
    expect(valid.session.sent()).toEqual(peerPosition)
    expect(valid.sentOf('replace')).toEqual([])
    for (const peerStanding of ['new', 'behind', 'diverged'] as const) {
      const other = await openSession({ peerStanding, peerPosition })
      expect(other.sentOf('replace')).toMatchObject([{ reason: peerStanding }])
    }
  })

  it('L8 rows wait for the credit of the peer', async () => {
    const scene = await openSession({ creditBytes: 0 })
    await write(scene.store, put('global', 'Policy', 'a'))
    await scene.settle()
    expect(scene.sentOf('rows')).toEqual([])
    await scene.receive(credit)
    expect(scene.sentOf('rows')).toHaveLength(1)
  })

  it('Y6 frames grow from 4 KiB with the throughput that the credit of the peer shows', async () => {
    const scene = await openSession()
    scene.clock.advance(5_000)
    const framesOf = async (prefix: string) => {
      const before = scene.sentOf('rows').length
      const policies = [1, 2, 3, 4].map((number) =>
        put('global', 'Policy', `${prefix}${number}`, { text: 'x'.repeat(3_000) }),
      )
      await write(scene.store, ...policies)
      await scene.settle()
      return scene.sentOf('rows').length - before
    }
    expect(await framesOf('a')).toBe(4)
    scene.clock.advance(100)
    await scene.receive({ type: 'credit', bytes: 13_000 })
    expect(await framesOf('b')).toBe(1)
  })

  it('L8 a session that has ended listens to its store no longer', async () => {
    let listeners = 0
    const counted = (store: Store): Store => ({
      ...store,
      onMark() {
        listeners += 1
        return {
          [Symbol.dispose]() {
            listeners -= 1
          },
        }
      },
    })
    const scene = await openSession({}, counted)
    expect(listeners).toBe(1)
    scene.session.end('shutdown', 'stop')
    expect(listeners).toBe(0)
  })

  it('Y9 a second handshake ends the session', async () => {
    const scene = await openSession()
    const welcome = {
      ...{ protocol: 1, features: [], storeId: 's', epoch: 1, position: undefined, creditBytes: 1, version: 'v' },
      ...{ zone: 'west', host: 'h', formerIncarnation: 0, standing: 'new' as const },
    }
    await scene.receive({ type: 'welcome', welcome })
    expect(scene.over()).toMatchObject({ goodbye: { code: 'protocol', reason: 'a second welcome' } })
  })
})
