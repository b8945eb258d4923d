import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { nextEpoch } from '../../src/sync/epochs.ts'
import { put, write } from './mesh.ts'
import { bookmarkOf, createGlobal, helloOf, markOf, ofZone } from './raw-door.ts'

const createStore = () => createMemoryStore({ clock: createVirtualClock(5), random: createSeededRandom(1) })

describe('the door of a global', () => {
  it.each([
    ['without a token', undefined, 'expected a zone token in "authorization", found none'],
    ['with an empty token', '', 'expected a zone token in "authorization", found none'],
    ['with a token of the global', 'global', 'no zone may be called "global"'],
    ['with a token that is refused', 'expired', 'the token has expired'],
    ['with a token that cannot be checked', 'broken', 'the token cannot be checked: no database'],
  ])('Y33 a caller %s is refused with the reason', async (_case, token, reason) => {
    const { call } = await createGlobal({
      async authenticate(given) {
        if (given === 'broken') throw new Error('no database')
        return given === 'expired'
          ? { ok: false, error: 'the token has expired' }
          : { ok: true, value: { zone: given } }
      },
    })
    const caller = await call(token)
    expect([caller.refused(), caller.sent]).toEqual([reason, []])
  })

  it('Y23 the first frame of a zone is its hello', async () => {
    const { call, server } = await createGlobal()
    const caller = await call('west')
    await caller.receive({ type: 'credit', bytes: 1 })
    expect(caller.goodbye()).toEqual({ code: 'protocol', reason: 'expected hello as the first frame, found credit' })
    expect(caller.isOver()).toBe(true)
    const lost = await call('west')
    await lost.lose('the line is cut')
    expect(lost.goodbye()).toEqual({ code: 'protocol', reason: 'the line is cut' })
    expect(server.zones().size).toBe(0)
  })

  it('L8 the ninth caller of a zone that waits for a welcome is refused', async () => {
    const { call } = await createGlobal()
    for (let count = 0; count < 8; count += 1) expect((await call('west')).sent).toEqual([])
    const ninth = await call('west')
    expect(ninth.goodbye()).toEqual({ code: 'failed', reason: 'too many sessions of this zone wait for a welcome' })
    expect(ninth.isOver()).toBe(true)
  })

  it('Y23 a zone without a common version is refused, and its status shows the reason', async () => {
    const { connect, server } = await createGlobal()
    const west = await connect('west', { protocol: { min: 8, max: 9, features: [] } })
    expect(west.goodbye()?.code).toBe('protocol')
    expect(server.zones().get('west')).toMatchObject({ connected: false, lastEndCode: 'protocol' })
    expect(west.isOver()).toBe(true)
  })

  it('Y1 Y14 the welcome names the store of the global, the epoch and the stored position of the zone', async () => {
    const { connect, store, server } = await createGlobal()
    const west = await connect('west', { incarnation: 4 })
    expect(west.welcome()).toMatchObject({
      ...{ protocol: 1, storeId: store.id, epoch: 1, position: undefined, version: 'test', zone: 'west' },
      ...{ host: 'global-host', formerIncarnation: 0, standing: 'new', creditBytes: 4 * 1024 * 1024 },
    })
    expect(west.welcome()).not.toHaveProperty('recall')
    await west.receive(markOf('west', 3))
    await west.lose('the line is cut')
    expect(server.zones().get('west')).toMatchObject({ connected: false, lastEnd: 'the line is cut' })
    const again = await connect('west', { incarnation: 4, position: await store.mark() })
    expect(again.welcome()).toMatchObject({
      ...{ epoch: 2, position: ofZone('west', 3), formerIncarnation: 4, standing: 'valid' },
    })
    expect(server.zones().get('west')).toMatchObject({
      connected: true,
      epoch: 2,
      stored: (await store.mark()).revision,
    })
    expect(server.ports).toEqual([7])
  })

  it('Y4 a session that cannot be opened is ended with the reason, and the next one is opened', async () => {
    const store = createStore()
    let fault: Error | undefined = new Error('the disk fails')
    const { connect } = await createGlobal({
      store: {
        ...store,
        async commitRound(...args) {
          if (fault) throw fault
          return store.commitRound(...args)
        },
      },
    })
    expect((await connect('west')).goodbye()).toEqual({ code: 'failed', reason: 'the disk fails' })
    fault = undefined
    expect((await connect('west')).welcome()).toMatchObject({ epoch: 1 })
  })
})

describe('two processes of a zone', () => {
  it.each([
    ['the same process', { replica: 'm', startedAtMs: 5, storeId: 'store-of-west' }, true],
    ['the same process with a new store', { replica: 'm', startedAtMs: 5, storeId: 'new' }, true],
    ['a younger process', { replica: 'a', startedAtMs: 11 }, true],
    ['an older process', { replica: 'z', startedAtMs: 9 }, false],
    ['a process of the same age with a higher name', { replica: 'n', startedAtMs: 10 }, true],
    ['a process of the same age with a lower name', { replica: 'l', startedAtMs: 10 }, false],
    ['a younger process with another store', { replica: 'z', startedAtMs: 11, storeId: 'new' }, false],
    ['an older process with a later lead', { replica: 'z', startedAtMs: 9, leaderTerm: 8 }, true, 7],
    ['a younger process with an earlier lead', { replica: 'z', startedAtMs: 11, leaderTerm: 6 }, false, 7],
    ['a younger process without a lead', { replica: 'z', startedAtMs: 11 }, false, 7],
  ])('Y14 ZR4 whether %s takes the session over', async (_case, changes, takesOver, leaderTerm?: number) => {
    const { connect, server } = await createGlobal()
    const holder = await connect('west', leaderTerm === undefined ? {} : { leaderTerm })
    const second = await connect('west', { host: 'second-host', ...changes })
    if (takesOver) {
      expect(holder.goodbye()).toEqual({
        code: 'fenced',
        reason: 'a newer session of this zone was opened from second-host',
      })
      expect(second.welcome()).toMatchObject({ epoch: 2 })
      expect(server.release('west', 'h')).toBe(true)
      expect(server.zones().get('west')).toMatchObject({ connected: true, host: 'second-host' })
      return
    }
    expect(second.goodbye()?.code).toBe('held-by-another')
    const how = 'storeId' in changes ? 'another store' : 'the same store'
    expect(second.goodbye()?.reason).toBe(
      `another control plane runs as this zone: west-host, started 1970-01-01T00:00:00.010Z, with ${how}; stop one of the two`,
    )
    expect(holder.goodbye()).toBeUndefined()
  })

  it('Y14 two handshakes of a zone at the same time run one after the other', async () => {
    const { call } = await createGlobal()
    const [first, second] = [await call('west'), await call('west')]
    const hello = { type: 'hello', hello: helloOf('west') } as const
    await Promise.all([first.receive(hello), second.receive(hello)])
    expect([first.welcome()?.epoch, first.goodbye()?.code]).toEqual([1, 'fenced'])
    expect([second.welcome()?.epoch, second.goodbye()]).toEqual([2, undefined])
  })

  it('Y4 a session ends within 2 s after a newer one was opened on another replica', async () => {
    const { connect, store, advance } = await createGlobal({}, { replica: 'one' })
    const west = await connect('west')
    const east = await connect('east')
    await advance(2_000)
    expect(west.goodbye()).toBeUndefined()
    await nextEpoch(store, 'west', helloOf('west'))
    await advance(2_000)
    expect(west.goodbye()).toEqual({ code: 'fenced', reason: 'a newer session was opened on another replica' })
    expect(east.goodbye()).toBeUndefined()
  })
})

describe('the sessions of a global', () => {
  it('Y8 a release is sent to the zone with the hold, and to no other', async () => {
    const { connect, server } = await createGlobal()
    const west = await connect('west')
    expect([server.release('west', 'h'), server.release('east', 'h')]).toEqual([true, false])
    expect(west.sent.at(-1)).toEqual({ type: 'release', hold: 'h' })
    await west.lose('the line is cut')
    expect(server.release('west', 'h')).toBe(false)
  })

  it('Y33 a session ends when its token is no longer valid, or when an operator disconnects the zone', async () => {
    let expire: (reason: string) => void = () => {}
    let watched = 0
    const { connect, server, settle } = await createGlobal({
      async authenticate(zone) {
        const watch = (end: (reason: string) => void) => {
          expire = end
          watched += 1
          return {
            [Symbol.dispose]() {
              watched -= 1
            },
          }
        }
        return { ok: true, value: { zone, watch } }
      },
    })
    const west = await connect('west')
    expect(watched).toBe(1)
    expire('the token has expired')
    await settle()
    expect(west.goodbye()).toEqual({ code: 'refused', reason: 'the token has expired' })
    expect(watched).toBe(0)
    const again = await connect('west')
    server.disconnect('west', 'an operator asked for it')
    expect(again.goodbye()).toEqual({ code: 'failed', reason: 'an operator asked for it' })
  })

  it('Y16 a bookmark shows in the status what the zone has and what is stored of it', async () => {
    const { connect, server, store, advance } = await createGlobal()
    let changes = 0
    const listening = server.onChange(() => {
      changes += 1
    })
    const west = await connect('west')
    await write(store, put('global', 'Policy', 'a'))
    await west.receive(markOf('west', 3), bookmarkOf({ sent: 3, mark: 3, stored: 2 }))
    // A mark without rows waits for a moment.
    await advance(40)
    await west.receive(bookmarkOf({ sent: 3, mark: 3, stored: 3 }))
    const { revision } = await store.mark()
    expect(server.zones().get('west')).toMatchObject({ sent: revision, stored: 3, up: { sent: 3, stored: 3 } })
    expect(changes).toBeGreaterThan(2)
    listening[Symbol.dispose]()
    const before = changes
    await west.receive(bookmarkOf({ stored: 3 }))
    expect(changes).toBe(before)
  })

  it('Y29 the report of a zone is shown, and a zone that lost its store gets a part of it back', async () => {
    const { connect, server } = await createGlobal({ recall: (report) => ({ known: Object.keys(report).length }) })
    const west = await connect('west')
    expect(west.welcome()).not.toHaveProperty('recall')
    await west.receive({ type: 'report', report: { reset: true, changed: [{ key: 'k', value: {} }], removed: [] } })
    expect(server.zones().get('west')?.report).toEqual({ k: {} })
    expect((await connect('west')).welcome()).not.toHaveProperty('recall')
    expect((await connect('west', { incarnation: 2 })).welcome()?.recall).toEqual({ known: 1 })
    expect((await connect('west', { incarnation: 1 })).welcome()).not.toHaveProperty('recall')
    expect((await connect('west', { incarnation: 1, storeId: 'new' })).welcome()?.recall).toEqual({ known: 1 })
  })

  it('Y16 the mark of the store counts from the start of the process', async () => {
    const store = createStore()
    await write(store, put('global', 'Policy', 'a'))
    const { connect, server } = await createGlobal({ store })
    await connect('west')
    expect(server.zones().get('west')).toMatchObject({ lag: 1, current: false })
  })

  it('Y11 rows of a lost store stay, are counted, and may be kept for good', async () => {
    const { connect, server, store, advance } = await createGlobal({}, { formerStayMs: 10_000 })
    const stamp = (incarnation: number) => ({ incarnation, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 })
    const dataplane = (name: string, incarnation: number) => {
      const key = { origin: 'west', kind: 'Dataplane', mesh: 'default', name }
      const row = { key, stamp: stamp(incarnation), labels: {}, spec: {} }
      return { key, stamp: stamp(incarnation), state: 'live' as const, row }
    }
    const first = await connect('west')
    await first.receive({ type: 'rows', rows: [dataplane('old', 1)], bytes: 0 }, markOf('west', 1))
    await first.lose('the line is cut')
    const second = await connect('west', { incarnation: 2, storeId: 'new' })
    const position = { store: 'new', revision: 1, commitId: 'c1' }
    await second.receive(
      { type: 'replace', origins: ['west'], position, reason: 'new' },
      { type: 'rows', rows: [dataplane('new', 2)], bytes: 0 },
      { type: 'mark', position },
    )
    expect(await store.scan({ kind: 'Dataplane' })).toHaveLength(2)
    await advance(2_000)
    expect(server.formers()).toEqual(new Map([['west', { rows: 1, expiresInMs: 10_000 }]]))
    expect([await server.keep('west', 'anna'), await server.keep('east', 'anna')]).toEqual([true, false])
    for (let count = 0; count < 10; count += 1) await advance(2_000)
    expect(await store.scan({ kind: 'Dataplane' })).toHaveLength(2)
  })

  it('L6 a zone owns its rows: the global holds no removal of them, also in another history', async () => {
    const { connect, store } = await createGlobal()
    const key = { origin: 'west', kind: 'Dataplane', mesh: 'default', name: 'a' }
    const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
    const row = { key, stamp, labels: {}, spec: {} }
    const west = await connect('west')
    await west.receive({ type: 'rows', rows: [{ key, stamp, state: 'live', row }], bytes: 0 }, markOf('west', 3))
    expect(await store.scan({ kind: 'Dataplane' })).toHaveLength(1)
    const position = ofZone('west', 2)
    await west.receive({ type: 'replace', origins: ['west'], position, reason: 'diverged' }, markOf('west', 2))
    expect(await store.scan({ kind: 'Dataplane' })).toEqual([])
  })

  it('Y37 a mark whose hint was lost is found within 2 s', async () => {
    const store = createStore()
    const { connect, advance } = await createGlobal({
      store: { ...store, onMark: () => ({ [Symbol.dispose]() {} }) },
    })
    const west = await connect('west')
    await write(store, put('global', 'Policy', 'a'))
    await advance(1_999)
    expect(west.sent.filter(({ type }) => type === 'rows')).toEqual([])
    await advance(1)
    expect(west.sent.filter(({ type }) => type === 'rows')).toHaveLength(1)
  })

  it('Y19 a store that does not answer for a while ends neither the looks nor the sessions', async () => {
    const store = createStore()
    let fault: Error | undefined
    const { connect, advance } = await createGlobal({
      store: {
        ...store,
        async mark() {
          if (fault) throw fault
          return store.mark()
        },
        onMark: () => ({ [Symbol.dispose]() {} }),
      },
    })
    const west = await connect('west')
    await write(store, put('global', 'Policy', 'a'))
    fault = new Error('the disk fails')
    await advance(2_000)
    fault = undefined
    await advance(2_000)
    expect(west.goodbye()).toBeUndefined()
    expect(west.sent.filter(({ type }) => type === 'rows')).toHaveLength(1)
  })

  it('Y2 a global that has stopped reads its store no longer', async () => {
    const store = createStore()
    let reads = 0
    const { server, advance } = await createGlobal({
      store: {
        ...store,
        async mark() {
          reads += 1
          return store.mark()
        },
      },
    })
    await advance(2_000)
    await write(store, put('global', 'Policy', 'a'))
    // At the start, at the regular look, and after the commit.
    expect(reads).toBe(3)
    await server[Symbol.asyncDispose]()
    await write(store, put('global', 'Policy', 'b'))
    await advance(10_000)
    expect(reads).toBe(3)
  })

  it('Y2 a global that stops ends its sessions, closes its doors and refuses further zones', async () => {
    const { call, connect, server, isClosed } = await createGlobal()
    const west = await connect('west')
    const waiting = await call('east')
    await server[Symbol.asyncDispose]()
    expect(west.goodbye()).toEqual({ code: 'shutdown', reason: 'the control plane of the global has stopped' })
    expect(isClosed()).toBe(true)
    await waiting.receive({ type: 'hello', hello: helloOf('east') })
    expect(waiting.goodbye()).toEqual({ code: 'shutdown', reason: 'the control plane of the global has stopped' })
  })
})

describe('the origins that a global names', () => {
  it('L7 a new zone gets the rows of the global and of each zone that it has completely, and not its own', async () => {
    const { connect } = await createGlobal()
    const west = await connect('west')
    await west.receive(markOf('west', 3))
    const east = await connect('east')
    await east.receive(markOf('east', 1))
    expect(east.replacements()).toEqual(['new global,west'])
    await east.lose('the line is cut')
    const again = await connect('east')
    expect(again.replacements()).toEqual(['new global,west'])
  })

  it('Y13 a zone gets a late replacement once the global has stored all rows of a zone that it could not name', async () => {
    const { connect, store } = await createGlobal()
    const position = await store.mark()
    const east = await connect('east', { uncovered: ['west'], position })
    const other = await connect('north', { position })
    const west = await connect('west', { uncovered: ['west'] })
    await west.receive(bookmarkOf({ mark: 3 }))
    await west.receive(markOf('west', 2))
    expect(east.replacements()).toEqual([])
    await west.receive(markOf('west', 3))
    expect(east.replacements()).toEqual(['late west'])
    expect(other.replacements()).toEqual([])
    // Only once in a session, and at once for a zone that connects later.
    await west.receive(bookmarkOf({ mark: 3 }), markOf('west', 4))
    expect(east.replacements()).toEqual(['late west'])
    const late = await connect('south', { uncovered: ['west', 'unknown'], position })
    expect(late.replacements()).toEqual(['late west'])
    expect(west.replacements()).toEqual(['new global'])
    // The bookmark may also come after the rows.
    const waiting = await connect('waiting', { uncovered: ['center'], position })
    const center = await connect('center')
    await center.receive(markOf('center', 3))
    expect(waiting.replacements()).toEqual([])
    await center.receive(bookmarkOf({ mark: 3 }))
    expect(waiting.replacements()).toEqual(['late center'])
  })

  it('Y12 a global that learns that its store was restored begins one new incarnation, and names only complete zones', async () => {
    const { connect, store, clock } = await createGlobal()
    clock.advance(5_000)
    const west = await connect('west')
    await west.receive(markOf('west', 3))
    await west.lose('the line is cut')
    const before = store.incarnation
    const foreign = { store: store.id, revision: 99, commitId: 'f00' }
    const east = await connect('east', { position: foreign })
    expect(east.welcome()?.standing).toBe('diverged')
    expect(store.incarnation).toBe(clock.wallMs())
    expect(store.incarnation).toBeGreaterThan(before)
    // The position of west may be of the lost history.
    expect(east.replacements()).toEqual(['diverged global'])
    clock.advance(5_000)
    await connect('north', { position: foreign })
    expect(store.incarnation).toBe(clock.wallMs() - 5_000)
    // Once west has sent all its rows again, east gets them.
    const again = await connect('west', { position: await store.mark() })
    await again.receive(bookmarkOf({ mark: 4 }), markOf('west', 4))
    expect(east.replacements()).toEqual(['diverged global', 'late west'])
  })

  it('Y12 a new incarnation is above the former one, also if the clock is behind', async () => {
    const { connect, store } = await createGlobal()
    const before = store.incarnation
    await connect('east', { position: { store: store.id, revision: 99, commitId: 'f00' } })
    expect(store.incarnation).toBe(before + 1)
  })

  it('Y12 a position of another store begins no incarnation', async () => {
    const { connect, store } = await createGlobal()
    const before = store.incarnation
    const east = await connect('east', { position: { store: 'another', revision: 99, commitId: 'f00' } })
    expect([east.welcome()?.standing, store.incarnation]).toEqual(['diverged', before])
  })
})

describe('two replicas of a global', () => {
  /** Two processes over one store. `pass` lets both exchange their statuses. */
  async function twoGlobals() {
    const clock = createVirtualClock(1_000)
    const store = createStore()
    const one = await createGlobal({ store, clock }, { replica: 'one' }, clock)
    const other = await createGlobal({ store, clock }, { replica: 'other' }, clock)
    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 250) await one.advance(250)
    }
    // Each process has read a first beat of the other one.
    await pass(4_500)
    return { store, one, other, pass }
  }

  it('Y22 the status of a zone is followed until its session ends, and shows if its replica is gone', async () => {
    const { one, other, pass } = await twoGlobals()
    const west = await one.connect('west')
    await pass(500)
    expect(other.server.zones().get('west')).toMatchObject({ connected: true, epoch: 1, host: 'west-host' })
    await west.lose('the line is cut')
    await pass(500)
    expect(other.server.zones().get('west')).toMatchObject({ connected: false, lastEnd: 'the line is cut' })
    await one.connect('west')
    await pass(500)
    await one.server[Symbol.asyncDispose]()
    await pass(500)
    expect(other.server.zones().get('west')).toMatchObject({
      ...{ connected: false, lastEnd: 'the replica that it was connected to is gone', epoch: 2 },
    })
  })

  it('Y22 a zone that moves to another replica is shown by its newest session', async () => {
    const { one, other, pass } = await twoGlobals()
    const former = await one.connect('west')
    await pass(500)
    await other.connect('west', { host: 'moved' })
    await pass(2_500)
    expect(former.goodbye()?.code).toBe('fenced')
    for (const { server } of [one, other])
      expect(server.zones().get('west')).toMatchObject({ connected: true, epoch: 2, host: 'moved' })
  })

  it('Y13 Y22 a zone gets a late replacement once another replica has all rows of a zone', async () => {
    const { store, one, other, pass } = await twoGlobals()
    const position = await store.mark()
    const east = await other.connect('east', { uncovered: ['west'], position })
    const west = await one.connect('west')
    await pass(500)
    expect(east.replacements()).toEqual([])
    await west.receive(bookmarkOf({ mark: 3 }), markOf('west', 3))
    await pass(500)
    expect(east.replacements()).toEqual(['late west'])
    for (let count = 0; count < 3; count += 1) {
      await pass(1_000)
      await east.receive(bookmarkOf({ mark: 1 }))
      await west.receive(bookmarkOf({ mark: 3 }))
    }
    expect(east.replacements()).toEqual(['late west'])
    const late = await other.connect('south', { uncovered: ['west'], position })
    expect(late.replacements()).toEqual(['late west'])
  })
})
