import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import { type Goodbye, type GoodbyeCode, goodbyeCodes, type Message, noCounters } from '../../src/sync/log/messages.ts'
import { positionChange } from '../../src/sync/log/rounds.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { isCurrent, type UplinkState } from '../../src/sync/uplink-state.ts'
import { put, write } from './mesh.ts'
import { createWest, ofGlobal } from './raw-global.ts'

const goodbye = (code: GoodbyeCode, reason = 'no'): Message & { goodbye: Goodbye } => ({
  type: 'goodbye',
  goodbye: { code, reason },
})
const mark = (revision: number): Message => ({ type: 'mark', position: ofGlobal(revision) })
const bookmark = (newest: number, stored = 0, wallClockMs = 0): Extract<Message, { type: 'bookmark' }> => ({
  type: 'bookmark',
  bookmark: {
    ...{ sent: newest, mark: newest, stored, served: 0, holds: [], blocked: '', verdicts: [], counters: noCounters },
    ...{ silentProxies: [], wallClockMs },
  },
})
/** The store of a zone that has stored the log of the global up to this revision. */
async function storeAt(revision: number, uncovered: readonly string[] = []) {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(2) })
  await write(store, positionChange('west', 'global', ofGlobal(revision), uncovered))
  return store
}
const helloOf = (message: Message | undefined) => (message?.type === 'hello' ? message.hello : undefined)

describe('the hello of a zone', () => {
  it('Y1 Y14 a hello names the store, the process and the position of the zone', async () => {
    const west = createWest()
    await west.settle()
    const first = helloOf(west.last()?.sent[0])
    expect(first).toMatchObject({
      ...{ protocol: { min: 1, max: 1 }, storeId: west.store.id, incarnation: west.store.incarnation },
      ...{ host: 'west-host', version: 'test', startedAtMs: 1_000, position: undefined, uncovered: [] },
      ...{ creditBytes: 4 * 1024 * 1024, reserve: { below: 0, count: 0 } },
    })
    await west.receive(mark(7))
    await west.receive(goodbye('shutdown'))
    await west.advance(1_000)
    const second = helloOf(west.last()?.sent[0])
    expect(second).toMatchObject({ position: ofGlobal(7), replica: first?.replica })
    await west.stop()
  })

  it('L7 a hello names the origins that the global has not named completely', async () => {
    const west = createWest({ store: await storeAt(3, ['east']) })
    await west.settle()
    expect(west.state()).toMatchObject({ position: ofGlobal(3) })
    expect(helloOf(west.last()?.sent[0])).toMatchObject({ position: ofGlobal(3), uncovered: ['east'] })
    await west.stop()
  })

  it('L7 a hello names the origins whose rows a new store has not named', async () => {
    const west = createWest()
    await write(west.store, put('east', 'Service', 's'), put('west', 'Dataplane', 'mine'))
    await west.settle()
    await west.receive({ type: 'replace', origins: ['global'], position: ofGlobal(3), reason: 'new' })
    await west.receive(mark(3))
    await west.receive(goodbye('shutdown'))
    await west.advance(500)
    expect(helloOf(west.last()?.sent[0])).toMatchObject({ position: ofGlobal(3), uncovered: ['east'] })
    await west.stop()
  })

  it('Y41 a hello requests numbers, and rows are exchanged only after the zone has stored the grant', async () => {
    const stored = Promise.withResolvers<void>()
    const west = createWest({
      grants: { request: () => ({ below: 5, count: 10 }), granted: () => stored.promise },
    })
    await west.settle()
    expect(helloOf(west.last()?.sent[0])?.reserve).toEqual({ below: 5, count: 10 })
    expect(west.state().phase).toBe('connecting')
    stored.resolve()
    await west.settle()
    expect(west.state().phase).toBe('connected')
    await west.stop()
  })

  it('Y42 a zone that is stopped after the welcome and before its session starts ends that session at once', async () => {
    const stored = Promise.withResolvers<void>()
    const west = createWest({ grants: { request: () => ({ below: 5, count: 10 }), granted: () => stored.promise } })
    await west.settle()
    let isStopped = false
    const stopping = west.uplink[Symbol.asyncDispose]().then(() => {
      isStopped = true
    })
    stored.resolve()
    await west.settle()
    expect([isStopped, west.last()?.sent.at(-1)]).toEqual([
      true,
      goodbye('shutdown', 'the control plane of the zone has stopped'),
    ])
    await stopping
  })
})

describe('the state of an uplink', () => {
  it('Y16 a session shows its epoch, its agreement, its marks and the clock of the global', async () => {
    const west = createWest()
    expect(west.state()).toMatchObject({ phase: 'connecting', sinceMs: 1_000, sent: 0, globalMark: 0, clockAheadMs: 0 })
    expect(west.state()).toMatchObject({ storedByGlobal: 0, positionCounts: false })
    west.control.answer = () => west.welcomeOf({ epoch: 9, features: ['f'] })
    await west.settle()
    expect(west.state()).toMatchObject({
      ...{ phase: 'connected', reason: '', epoch: 9, agreement: { protocol: 1, features: ['f'] } },
      ...{ globalStoreId: 'store-of-global', position: undefined, hold: undefined, positionCounts: false },
    })
    await write(west.store, put('west', 'Dataplane', 'a'))
    await west.advance(500)
    await west.receive(bookmark(4, 1, 1_600))
    expect(west.state()).toMatchObject({
      ...{ storedByGlobal: 1, sent: 1, globalMark: 4, bookmarkAtMs: 1_500, clockAheadMs: 100, sinceMs: 1_000 },
    })
    await west.receive(mark(3))
    expect(west.state().globalMark).toBe(4)
    await west.receive(mark(6))
    expect(west.state()).toMatchObject({ globalMark: 6, position: ofGlobal(6), positionCounts: true })
    await west.stop()
    expect(west.state()).toMatchObject({ phase: 'stopped', reason: '' })
    expect(west.last()?.sent.at(-1)).toMatchObject({ type: 'goodbye', goodbye: { code: 'shutdown' } })
  })

  it('Y16 a bookmark counts from the time that it repeats, or from that of the hello, however long it was on its way', async () => {
    const west = createWest()
    west.control.answer = () => west.welcomeOf({ features: ['echo'] })
    await west.settle()
    await west.advance(5_000)
    await west.receive(bookmark(0))
    expect(west.state()).toMatchObject({ bookmarkAtMs: 6_000, confirmedAtMs: 1_000 })
    await west.receive({ type: 'bookmark', bookmark: { ...bookmark(0).bookmark, echoMs: 3_000 } })
    expect(west.state()).toMatchObject({ bookmarkAtMs: 6_000, confirmedAtMs: 3_000 })
    await west.stop()
  })

  it('Y16 a bookmark of a peer that repeats no time counts as 4 s old', async () => {
    const west = createWest()
    await west.settle()
    await west.advance(5_000)
    await west.receive(bookmark(0))
    expect(west.state()).toMatchObject({ bookmarkAtMs: 6_000, confirmedAtMs: 2_000 })
    await west.stop()
  })

  const current: UplinkState = {
    ...{ phase: 'connected', reason: '', sinceMs: 0, globalStoreId: 'store-of-global', epoch: 1, agreement: undefined },
    ...{ position: ofGlobal(5), sent: 0, storedByGlobal: 0, globalMark: 5, bookmarkAtMs: 0, clockAheadMs: 0 },
    confirmedAtMs: 100,
    ...{ positionCounts: true, hold: undefined },
  }
  it.each([
    ['everything is stored', {}, 100, true],
    ['the bookmark was made just less than 7 s ago', {}, 7_099, true],
    ['the bookmark may have been made 7 s ago', {}, 7_100, false],
    ['there is no session', { phase: 'waiting' }, 100, false],
    ['a change is held', { hold: { id: 'h', origin: 'global', reason: '', removals: 0 } }, 100, false],
    ['the global does not hold its position', { positionCounts: false }, 100, false],
    ['its position is one of another store', { position: ofGlobal(5, 'other') }, 100, false],
    ['the global has a newer mark', { globalMark: 6 }, 100, false],
    ['it has no position', { position: undefined, globalMark: 0 }, 100, false],
  ] as const)('Y16 whether a zone is current if %s', (_case, changes, nowMs, expected) => {
    expect(isCurrent({ ...current, ...changes }, nowMs)).toBe(expected)
  })

  it('Y21 a zone with a position is notified if the global does not have it, and a new zone is not', async () => {
    let unknown = 0
    const deps = {
      onUnknownPosition: () => {
        unknown += 1
      },
    }
    const fresh = createWest(deps)
    await fresh.settle()
    expect(unknown).toBe(0)
    await fresh.receive(mark(3))
    for (const [standing, expected] of [
      ['valid', 0],
      ['behind', 1],
      ['diverged', 2],
    ] as const) {
      fresh.control.answer = () => fresh.welcomeOf({ standing })
      await fresh.receive(goodbye('shutdown'))
      await fresh.advance(1_000)
      expect([fresh.state().phase, unknown]).toEqual(['connected', expected])
    }
    await fresh.stop()
  })
})

describe('the attempts of a zone', () => {
  const limits = (dialledAtMs: readonly number[]) =>
    dialledAtMs.slice(1).map((atMs, index) => atMs - (dialledAtMs[index] ?? 0))
  async function waitsAfter(west: ReturnType<typeof createWest>, count: number) {
    await west.settle()
    while (west.dialledAtMs.length <= count) await west.advance(50)
    await west.stop()
    return limits(west.dialledAtMs).slice(0, count)
  }

  it('F28 attempts at an unreachable global follow after at most 0.5 s five times, and then more slowly up to 5 s', async () => {
    const west = createWest({ fraction: 1 })
    west.control.failure = { refused: false, reason: 'unreachable' }
    expect(await waitsAfter(west, 10)).toEqual([500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 5_000, 5_000])
    expect(west.control.forgotten).toBeGreaterThanOrEqual(10)
    const quick = createWest({ fraction: 0 })
    quick.control.failure = { refused: false, reason: 'unreachable' }
    expect(await waitsAfter(quick, 3)).toEqual([50, 50, 50])
  })

  it('F28 a global that refuses a zone is dialled every 1 s to 5 s', async () => {
    const west = createWest({ fraction: 0 })
    west.control.failure = { refused: true, reason: 'the token has expired' }
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'refused', reason: 'the token has expired', epoch: undefined })
    expect(await waitsAfter(west, 2)).toEqual([1_000, 1_000])
    const slow = createWest({ fraction: 1 })
    slow.control.failure = { refused: true, reason: 'the token has expired' }
    expect(await waitsAfter(slow, 3)).toEqual([5_000, 5_000, 5_000])
  })

  const passing: readonly GoodbyeCode[] = ['shutdown', 'failed', 'fenced', 'gap']
  it.each(goodbyeCodes)(
    'F28 after a goodbye with code %s the zone waits briefly only if a retry may succeed',
    async (code) => {
      const phase = passing.includes(code) ? 'waiting' : 'refused'
      const west = createWest()
      await west.settle()
      await west.receive(goodbye(code, 'bye'))
      expect(west.state()).toMatchObject({ phase, reason: 'bye', epoch: undefined })
      // What the dialer knows about the global was right.
      expect(west.control.forgotten).toBe(phase === 'waiting' ? 0 : 1)
      west.control.answer = () => goodbye(code, 'not now')
      await west.advance(5_000)
      expect(west.state()).toMatchObject({ phase, reason: 'not now' })
      await west.stop()
    },
  )

  it('ZR17 a session that a newer one replaced opens again only once the store confirms the lead', async () => {
    let reason: string | undefined
    let asked = 0
    const confirmLead = async () => {
      asked += 1
      if (reason !== undefined) throw new Error(reason)
    }
    const west = createWest({}, { confirmLead })
    await west.settle()
    await west.receive(goodbye('shutdown', 'the global stops'))
    await west.advance(5_000)
    expect([west.dialledAtMs.length, asked]).toEqual([2, 0])
    reason = 'the replica p2 leads'
    await west.receive(goodbye('fenced', 'a newer session of this zone was opened elsewhere'))
    await west.advance(20_000)
    expect(west.dialledAtMs.length).toBe(2)
    expect(west.state()).toMatchObject({ phase: 'waiting', reason: 'the replica p2 leads' })
    reason = undefined
    await west.advance(5_000)
    expect(west.dialledAtMs.length).toBe(3)
    expect(west.state()).toMatchObject({ phase: 'connected' })
    await west.stop()
  })

  it('Y34 a call that ends before its welcome is named, and counts as refused only if the global refused it', async () => {
    const west = createWest()
    west.control.answer = () => undefined
    await west.settle()
    west.last()?.cut('the line is cut')
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'waiting', reason: 'the line is cut' })
    await west.advance(50)
    west.last()?.cut('the token has expired', true)
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'refused', reason: 'the token has expired' })
    await west.stop()
  })

  it('F28 a session resets the waits, and a call without a session does not', async () => {
    const west = createWest({ fraction: 1 })
    const waitsOf = async (count: number) => {
      const before = west.dialledAtMs.length
      while (west.dialledAtMs.length < before + count) await west.advance(50)
      return limits(west.dialledAtMs.slice(before - 1))
    }
    west.control.failure = { refused: false, reason: 'unreachable' }
    await west.settle()
    expect(await waitsOf(7)).toEqual([500, 500, 500, 500, 500, 1_000, 2_000])
    // Neither a goodbye nor a lost call before the welcome is a session.
    west.control.failure = undefined
    west.control.answer = () => goodbye('shutdown')
    expect(await waitsOf(2)).toEqual([4_000, 5_000])
    west.control.answer = () => undefined
    expect(await waitsOf(1)).toEqual([5_000])
    west.last()?.cut('the line is cut')
    await west.settle()
    west.control.answer = () => west.welcomeOf({})
    expect(await waitsOf(1)).toEqual([5_000])
    expect(west.state()).toMatchObject({ phase: 'connected', sinceMs: west.clock.wallMs() })
    await west.advance(10)
    west.last()?.cut('the line is cut')
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'waiting', reason: 'the line is cut', sinceMs: west.clock.wallMs() })
    expect(west.control.forgotten).toBe(11)
    expect(await waitsOf(1)).toEqual([500 + 10])
    await west.stop()
  })

  it('F28 a global that sends no welcome within 20 s is dialled again', async () => {
    const west = createWest()
    west.control.answer = () => undefined
    await west.settle()
    await west.advance(20_000)
    expect(west.state()).toMatchObject({ phase: 'waiting', reason: 'no first frame within 20000 ms' })
    expect(west.last()?.over()).toBe('no welcome')
    await west.stop()
  })

  it('Y19 a zone whose store does not answer shows the reason and tries again', async () => {
    const store = await storeAt(3)
    let fault: Error | undefined = new Error('the disk fails')
    const west = createWest({
      store: {
        ...store,
        async get(key) {
          if (fault) throw fault
          return store.get(key)
        },
      },
    })
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'waiting', reason: 'the disk fails' })
    expect(west.control.forgotten).toBe(1)
    fault = undefined
    await west.advance(50)
    expect(west.state().phase).toBe('connected')
    await west.stop()
  })

  it('F28 a new token ends the session, and the next one begins at once', async () => {
    const west = createWest({ fraction: 1 })
    await west.settle()
    west.control.answer = () => undefined
    west.uplink.redial('a newer token')
    await west.settle()
    expect(west.calls[0]?.sent.at(-1)).toEqual(goodbye('shutdown', 'a newer token'))
    // Without any wait.
    expect(west.dialledAtMs).toEqual([1_000, 1_000])
    expect(west.state()).toMatchObject({ phase: 'connecting', reason: 'a newer token', epoch: undefined })
    await west.receive(west.welcomeOf({}))
    expect(west.state()).toMatchObject({ phase: 'connected', epoch: 2 })
    west.control.failure = { refused: true, reason: 'the token has expired' }
    await west.receive(goodbye('shutdown'))
    expect(west.dialledAtMs).toHaveLength(2)
    await west.advance(500)
    expect(west.state().phase).toBe('refused')
    // A wait ends early, and the next failure waits again.
    west.uplink.redial('a newer token')
    await west.settle()
    expect(west.dialledAtMs).toHaveLength(4)
    await west.settle()
    expect(west.dialledAtMs).toHaveLength(4)
    await west.stop()
  })
})

describe('a hold of a zone', () => {
  it('Y9 another global is held until an operator accepts it, and then dialled at once', async () => {
    const west = createWest()
    await west.settle()
    expect(west.uplink.release()).toBe(false)
    await west.receive(mark(3))
    west.control.answer = () => west.welcomeOf({ storeId: 'another' })
    await west.receive(goodbye('shutdown'))
    await west.advance(500)
    expect(west.state()).toMatchObject({ phase: 'refused', hold: { id: 'global:another' } })
    expect(west.last()?.sent.at(-1)).toMatchObject({ type: 'goodbye', goodbye: { code: 'wrong-global' } })
    expect([west.last()?.over(), west.control.forgotten]).toEqual(['the zone ended it', 1])
    expect(west.uplink.release('global:other')).toBe(false)
    expect(west.uplink.release('global:another')).toBe(true)
    expect(west.state().hold).toBeUndefined()
    await west.settle()
    expect(west.state()).toMatchObject({ phase: 'connected', globalStoreId: 'another' })
    await west.stop()
  })

  it('Y9 a zone may be started with the store of the global that it accepts', async () => {
    const west = createWest({ store: await storeAt(3) }, { acceptGlobalStore: 'another' })
    west.control.answer = () => west.welcomeOf({ storeId: 'another' })
    await west.settle()
    expect(west.state().phase).toBe('connected')
    await west.stop()
  })

  it('Y8 the global may request a release, first of what the zone holds outside of sync', async () => {
    const requested: string[] = []
    const west = createWest({
      onRelease(hold) {
        requested.push(hold)
        return hold === 'outside'
      },
    })
    await west.settle()
    await write(west.store, put('global', 'Policy', 'mine'), positionChange('west', 'global', ofGlobal(9)))
    await west.receive(mark(9))
    await west.receive({ type: 'replace', origins: ['global'], position: ofGlobal(12), reason: 'behind' })
    await west.receive(mark(12))
    const id = 'replacement:store-of-global'
    expect(west.state().hold?.id).toBe(id)
    await west.receive({ type: 'release', hold: 'outside' })
    expect(west.state().hold?.id).toBe(id)
    await west.receive({ type: 'release', hold: id })
    expect(requested).toEqual(['outside', id])
    expect(west.state()).toMatchObject({ hold: undefined, position: ofGlobal(12) })
    await west.stop()
  })
})

describe('a zone whose history the global has lost, or has and the zone has not', () => {
  it('Y11 a zone begins one new incarnation above all that the global has seen', async () => {
    const west = createWest()
    const foreign = { store: west.store.id, revision: 50, commitId: 'f00' }
    west.control.answer = () => west.welcomeOf({ position: foreign, formerIncarnation: 5_000 })
    await west.settle()
    expect(west.calls[0]?.sent.at(-1)).toEqual(goodbye('shutdown', 'this zone begins a new incarnation'))
    expect(west.calls[0]?.over()).toBe('the zone ended it')
    expect(west.state().phase).toBe('waiting')
    // The process begins only one incarnation.
    west.control.answer = () => west.welcomeOf({ position: foreign, formerIncarnation: 9_000 })
    await west.advance(500)
    expect(helloOf(west.last()?.sent[0])?.incarnation).toBe(5_001)
    // The global still has the former history. The zone sends a replacement and begins no further incarnation.
    expect(west.state().phase).toBe('connected')
    expect(west.last()?.sent.find(({ type }) => type === 'replace')).toMatchObject({ reason: 'diverged' })
    expect(west.store.incarnation).toBe(5_001)
    await west.stop()
  })
})

describe('what a zone reports', () => {
  it('Y5 Y29 a change of what is served is in a bookmark soon, and reports follow while the session lives', async () => {
    const served = createLatest(nothingServed)
    const report = createLatest(() => ({ a: { state: 'online' } }))
    const west = createWest({ served, report })
    await west.settle()
    expect(west.last()?.sent.find(({ type }) => type === 'report')).toMatchObject({ report: { reset: true } })
    await west.advance(100)
    const count = west.last()?.sent.length ?? 0
    served.set({ ...nothingServed, silentProxies: ['p'] })
    await west.settle()
    await west.advance(5)
    expect(west.last()?.sent.slice(count)).toMatchObject([{ type: 'bookmark', bookmark: { silentProxies: ['p'] } }])
    await west.receive(goodbye('shutdown'))
    await west.advance(500)
    // The next session sends the whole report anew.
    expect(west.last()?.sent.find(({ type }) => type === 'report')).toMatchObject({ report: { reset: true } })
    await west.stop()
  })

  it('Y30 each mark of the global is reported once it is stored, with the mark of this store', async () => {
    const applied: string[] = []
    const west = createWest({
      onApplied: ({ position, localMark }) => void applied.push(`${position.revision} at ${localMark.revision}`),
    })
    await west.settle()
    await west.receive(mark(3))
    await west.receive(goodbye('shutdown'))
    west.control.answer = () => west.welcomeOf({ standing: 'valid' })
    await west.advance(500)
    expect(applied).toEqual(['3 at 1', '3 at 1'])
    await west.stop()
  })
})
