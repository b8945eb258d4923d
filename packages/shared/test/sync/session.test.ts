import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { keyText } from '../../src/resource/resource.ts'
import { StoreUnavailableError } from '../../src/store/errors.ts'
import { createMemoryContents, createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import type { Applied } from '../../src/sync/applications.ts'
import { creditWindowBytes } from '../../src/sync/credit.ts'
import type { Welcome } from '../../src/sync/log/messages.ts'
import { positionKey, positionKind, uncoveredFrom } from '../../src/sync/log/rounds.ts'
import { nothingServed, type ServedStatus } from '../../src/sync/served-status.ts'
import { isCurrent, type UplinkState } from '../../src/sync/uplink-state.ts'
import { createTestAuthority, type TestAuthority } from './certificates.ts'
import { createScene, names, put, remove, until, write } from './mesh.ts'
import { callAsZone } from './raw-zone.ts'

let authority: TestAuthority
let scene: ReturnType<typeof createScene>
beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(() => {
  scene = createScene(authority)
})
afterEach(() => scene.close())

const memory = (horizonRevisions?: number) =>
  createMemoryStore(scene.deps, horizonRevisions === undefined ? {} : { horizonRevisions })
const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 }
const row = (origin: string, kind: string, name: string) => {
  const key = { origin, kind, mesh: 'default', name }
  return { key, stamp, state: 'live' as const, row: { key, stamp, labels: {}, spec: {} } }
}

describe('a session of the global', () => {
  it('L8 the global sends only with credit: a zone without credit gets one frame of rows, and every other zone gets all', async () => {
    const [global, east] = [memory(), memory()]
    const changes = Array.from({ length: 200 }, (_, index) =>
      put('global', 'Policy', `p${index}`, { text: 'x'.repeat(1_000) }),
    )
    await write(global, ...changes)
    const server = await scene.server(global)
    using west = await callAsZone(authority, server.port, 'west', { creditBytes: 1 })
    const first = await west.next('rows')
    expect(first.bytes).toBeLessThanOrEqual(64 * 1024)
    scene.uplink(east, 'east', server.port)
    await until(east, async () => (await names(east, 'Policy')).length === 200)
    expect(west.messages().filter((message) => message.type === 'rows')).toHaveLength(1)
    expect(west.messages().some((message) => message.type === 'mark')).toBe(false)
    west.send({ type: 'credit', bytes: 1_000_000 })
    await west.next('mark')
    const rows = west.messages().flatMap((message) => (message.type === 'rows' ? message.rows : []))
    expect(rows).toHaveLength(200)
  })

  it('Y40 a zone that sends rows without credit loses its session, and none of them counts', async () => {
    const global = memory()
    const server = await scene.server(global, { inflow: { bytesPerSecond: 1, burstBytes: 1 } })
    using west = await callAsZone(authority, server.port, 'west')
    await west.next('mark')
    const large = row('west', 'Service', 'large')
    const rows = (name: string, bytes: number) => {
      const key = { ...large.key, name }
      return [{ ...large, key, row: { ...large.row, key, spec: { text: 'x'.repeat(bytes) } } }]
    }
    // The first frame is credited and uses up the inflow limit for long. The second frame uses up the credit window.
    west.send({ type: 'rows', rows: rows('first', creditWindowBytes), bytes: 0 })
    west.send({ type: 'rows', rows: rows('second', creditWindowBytes), bytes: 0 })
    west.send({ type: 'rows', rows: rows('third', 1), bytes: 0 })
    west.send({ type: 'mark', position: { store: 'store-of-west', revision: 1, commitId: 'c1' } })
    expect((await west.next('goodbye')).goodbye).toEqual({
      code: 'protocol',
      reason: expect.stringMatching(/^the peer sent \d+ bytes of rows without credit for them$/),
    })
    await until(global, () => server.zones().get('west')?.connected === false, server)
    expect(await names(global, 'Service')).toEqual([])
  })

  it('F41 L6 forged rows are refused one by one and counted, and the session stays open', async () => {
    const global = memory()
    await write(global, put('global', 'Policy', 'mine'))
    const server = await scene.server(global)
    using west = await callAsZone(authority, server.port, 'west')
    await west.next('mark')
    const forged = [row('global', 'Policy', 'mine'), row('east', 'Service', 'other'), row('west', 'SyncEpoch', 'west')]
    west.send({ type: 'rows', rows: [...forged, row('west', 'Service', 'true')], bytes: 0 })
    west.send({ type: 'mark', position: { store: 'store-of-west', revision: 1, commitId: 'c1' } })
    await until(global, async () => (await names(global, 'Service')).length > 0)
    expect(await names(global, 'Service')).toEqual(['west/true'])
    expect(await global.get(row('global', 'Policy', 'mine').key)).toMatchObject({ state: 'live', revision: 1 })
    // The bookmark of the global reports which rows it accepted.
    let refused = 0
    for (let index = 0; refused === 0; index += 1)
      refused = (await west.next('bookmark', index)).bookmark.counters.rowsRefused
    expect(refused).toBe(3)
    expect(server.zones().get('west')?.connected).toBe(true)
  })

  it('Y16 a new session moves no mark, so the newest mark of all other sessions stays the newest', async () => {
    const global = memory()
    const { revision } = await write(global, put('global', 'Policy', 'one'))
    const server = await scene.server(global)
    using east = await callAsZone(authority, server.port, 'east')
    await east.next('mark')
    const marks: number[] = []
    using _listening = global.onMark(() => marks.push(1))
    for (let index = 0; index < 3; index += 1) {
      using west = await callAsZone(authority, server.port, 'west')
      expect((await west.next('mark')).position.revision).toBe(revision)
      // The first bookmark reports that there is no newer mark.
      expect((await west.next('bookmark')).bookmark.mark).toBe(revision)
    }
    expect((await global.mark()).revision).toBe(revision)
    expect((await global.head()).revision).toBeGreaterThan(revision)
    expect(marks).toEqual([])
  })

  it('Y16 a bookmark names the newest mark that any read has found, also while the read of its session is retried', async () => {
    const inner = memory()
    let failing = 0
    const mark: typeof inner.mark = async () => {
      if (failing > 0 && failing < 4) {
        failing += 1
        throw new StoreUnavailableError('the store does not answer')
      }
      if (failing < 0) failing = 1
      return inner.mark()
    }
    const global = { ...inner, mark }
    const server = await scene.server(global)
    using west = await callAsZone(authority, server.port, 'west')
    await west.next('bookmark')
    // The first read is that of the server and succeeds. The reads of the session that follow fail.
    failing = -1
    const { revision } = await write(inner, put('global', 'Policy', 'late'))
    let { bookmark } = await west.next('bookmark')
    for (let index = 1; bookmark.mark < revision; index += 1) bookmark = (await west.next('bookmark', index)).bookmark
    expect(bookmark).toMatchObject({ mark: revision, sent: 0 })
  })

  it('Y26 a frame that cannot be read ends the session with its reason, and nothing of its round is applied', async () => {
    const global = memory()
    const server = await scene.server(global)
    using west = await callAsZone(authority, server.port, 'west')
    await west.next('mark')
    west.send({ type: 'rows', rows: [row('west', 'Service', 'half')], bytes: 0 })
    west.sendBytes(Uint8Array.from([0xff, 0xff, 0xff]))
    expect((await west.next('goodbye')).goodbye).toMatchObject({
      code: 'protocol',
      reason: expect.stringContaining('3 bytes'),
    })
    await until(global, () => server.zones().get('west')?.connected === false, server)
    expect(await names(global, 'Service')).toEqual([])
  })

  it('Y27 a port in use is reported in one sentence', async () => {
    const server = await scene.server(memory())
    await expect(scene.server(memory(), { port: server.port })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${server.port} for zones: this process already uses the port`,
    )
  })
})

describe('a zone whose store refuses writes', () => {
  it('Y19 a zone whose store refuses writes keeps its session, reports the reason on both ends, is not current, and then continues', async () => {
    const [global, east] = [memory(), memory()]
    let isFull = false
    const commitRound: typeof east.commitRound = async (parts) => {
      if (isFull) throw new StoreUnavailableError('cannot write store: disk full')
      return east.commitRound(parts)
    }
    const server = await scene.server(global)
    const uplink = scene.uplink({ ...east, commitRound }, 'east', server.port)
    const next = async (isRight: (state: UplinkState) => boolean): Promise<UplinkState> => {
      for await (const state of uplink.state.watch(AbortSignal.timeout(10_000))) if (isRight(state)) return state
      throw new Error(`not within 10 s; last: ${JSON.stringify(uplink.state.value)}`)
    }
    const isNow = (state: UplinkState) => isCurrent(state, scene.deps.clock.monotonicMs())
    const { epoch } = await next(isNow)
    isFull = true
    await write(global, put('global', 'Policy', 'waits'))
    const blocked = await next(({ reason }) => reason !== '')
    expect(blocked).toMatchObject({ phase: 'connected', reason: 'cannot write store: disk full', epoch })
    expect(isNow(blocked)).toBe(false)
    await until(global, () => server.zones().get('east')?.blocked === 'cannot write store: disk full', server)
    expect(server.zones().get('east')).toMatchObject({ connected: true, current: false })
    isFull = false
    expect(await next(isNow)).toMatchObject({ reason: '', epoch })
    expect(await names(east, 'Policy')).toEqual(['global/waits'])
    await until(global, () => server.zones().get('east')?.current === true, server)
    expect(server.zones().get('east')?.blocked).toBe('')
  })
})

describe('a zone that was disconnected', () => {
  it('Y28 a zone below the horizon gets a replacement, which removes deleted rows and keeps its own rows', async () => {
    const global = memory(10)
    const contents = createMemoryContents(scene.deps)
    const west = createMemoryStore(scene.deps, { contents })
    await write(global, put('global', 'Policy', 'kept'), put('global', 'Policy', 'gone'))
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port)
    await until(west, async () => (await names(west, 'Policy')).length === 2)
    await write(west, put('west', 'Dataplane', 'own'), put('west', 'Policy', 'local'))
    await uplink[Symbol.asyncDispose]()
    await write(global, remove('global', 'Policy', 'gone'))
    for (let index = 0; index < 30; index += 1) await write(global, put('global', 'Policy', 'busy', { index }))
    expect(await global.history({ origin: 'global', kind: 'Policy', mesh: 'default', name: 'gone' })).toEqual([])
    scene.uplink(west, 'west', server.port)
    await until(west, async () => (await names(west, 'Policy')).includes('global/busy'))
    expect(await names(west, 'Policy')).toEqual(['global/busy', 'global/kept', 'west/local'])
    expect(await names(west, 'Dataplane')).toEqual(['west/own'])
  })

  it('Y21 what a zone serves of another history of its global counts for nothing, while the replacement is held and afterwards', async () => {
    const contents = createMemoryContents(scene.deps)
    const [global, west] = [createMemoryStore(scene.deps, { contents }), memory()]
    const served = createLatest<ServedStatus>(nothingServed)
    const diverged: number[] = []
    const zone = {
      served,
      onApplied: ({ position }: Applied) => served.set({ ...nothingServed, served: position }),
      onUnknownPosition: () => {
        diverged.push(served.value.served?.revision ?? 0)
        served.set(nothingServed)
      },
    }
    await write(global, put('global', 'Policy', 'old'))
    const backup = structuredClone(contents)
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port, zone)
    await write(global, put('global', 'Policy', 'new'))
    const { revision } = await write(global, put('global', 'Policy', 'newer'))
    await until(global, () => server.zones().get('west')?.served === revision, server)
    await uplink[Symbol.asyncDispose]()
    const restored = createMemoryStore(scene.deps, { contents: backup })
    const again = await scene.server(restored)
    // The zone stops before the new history reaches its proxies.
    const held = scene.uplink(west, 'west', again.port, { ...zone, onApplied: () => {} })
    await until(global, () => again.zones().get('west')?.holds[0] !== undefined, again)
    expect(diverged).toEqual([revision])
    const reached = async (level: 'stored' | 'served') => {
      const wait = { revision: 1, level, zones: ['west'], timeoutMs: 20 }
      return (await again.waitFor(wait, AbortSignal.timeout(10_000))).map(({ state }) => state).join()
    }
    expect([await reached('stored'), await reached('served')]).toEqual(['pending', 'pending'])
    held.release()
    await until(global, async () => (await reached('stored')) === 'done', again)
    expect(await reached('served')).toBe('pending')
  })

  it('Y8 Y21 another history stays another history after the global has pruned the revision of the zone', async () => {
    const contents = createMemoryContents(scene.deps)
    const [global, west] = [createMemoryStore(scene.deps, { contents }), memory()]
    await write(global, put('global', 'Policy', 'old'))
    const backup = structuredClone(contents)
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port)
    await write(global, put('global', 'Policy', 'new'))
    await until(west, async () => (await names(west, 'Policy')).length === 2)
    await uplink[Symbol.asyncDispose]()
    const { position } = uplink.state.value
    if (!position) throw new Error('west has no position')
    const restored = createMemoryStore(scene.deps, { contents: backup, horizonRevisions: 10 })
    for (let index = 0; index < 5; index += 1) await write(restored, put('global', 'Policy', 'other', { index }))
    const again = await scene.server(restored)
    const hold = async () => {
      const held = scene.uplink(west, 'west', again.port)
      for await (const state of held.state.watch(AbortSignal.timeout(5_000))) if (state.hold) break
      return held
    }
    await (await hold())[Symbol.asyncDispose]()
    for (let index = 0; index < 30; index += 1) await write(restored, put('global', 'Policy', 'busy', { index }))
    expect(await restored.standing(position)).toBe('behind')
    const held = await hold()
    expect(held.state.value.hold?.reason).toContain('another history')
    expect(await names(west, 'Policy')).toEqual(['global/new', 'global/old'])
    await until(restored, () => again.zones().get('west')?.holds[0] !== undefined, again)
    expect(again.zones().get('west')).toMatchObject({ connected: true, current: false, stored: 0 })
    held.release()
    await until(west, async () => (await names(west, 'Policy')).join() === 'global/busy,global/old,global/other')
  })

  it('Y21 a position that the global has pruned counts for nothing, because it may belong to another history', async () => {
    const global = memory(10)
    const { revision, store } = await write(global, put('global', 'Policy', 'a'))
    for (let index = 0; index < 30; index += 1) await write(global, put('global', 'Policy', 'busy', { index }))
    const server = await scene.server(global)
    const position = { store, revision, commitId: 'of-another-history' }
    using zone = await callAsZone(authority, server.port, 'west', { position, creditBytes: 1 })
    expect((await zone.next('welcome')).welcome.standing).toBe('behind')
    await until(global, () => server.zones().get('west')?.connected === true, server)
    expect(server.zones().get('west')).toMatchObject({ stored: 0, served: 0 })
  })

  it('Y21 what a zone holds below the horizon of the global is reported as nothing, until the replacement is stored and served', async () => {
    const [global, west] = [memory(10), memory()]
    const server = await scene.server(global)
    const served = createLatest<ServedStatus>(nothingServed)
    const zone = {
      served,
      onApplied: ({ position }: Applied) => served.set({ ...nothingServed, served: position }),
      onUnknownPosition: () => served.set(nothingServed),
    }
    const uplink = scene.uplink(west, 'west', server.port, zone)
    await write(global, put('global', 'Policy', 'a'))
    await until(global, () => (server.zones().get('west')?.served ?? 0) > 0, server)
    await uplink[Symbol.asyncDispose]()
    for (let index = 0; index < 30; index += 1) await write(global, put('global', 'Policy', 'busy', { index }))
    let isFull = true
    const commitRound: typeof west.commitRound = async (parts) => {
      if (isFull) throw new StoreUnavailableError('cannot write store: disk full')
      return west.commitRound(parts)
    }
    // The applied rounds do not reach the proxies.
    scene.uplink({ ...west, commitRound }, 'west', server.port, { ...zone, onApplied: () => {} })
    await until(global, () => server.zones().get('west')?.blocked === 'cannot write store: disk full', server)
    expect(server.zones().get('west')).toMatchObject({ connected: true, current: false, stored: 0, served: 0 })
    isFull = false
    await until(global, () => server.zones().get('west')?.current === true, server)
    expect(await names(west, 'Policy')).toEqual(['global/a', 'global/busy'])
    expect(server.zones().get('west')?.served).toBe(0)
  })

  it('Y8 a session resumes after a round whose commit ended after the former session', async () => {
    const [global, west] = [memory(), memory()]
    const server = await scene.server(global)
    let isCut = false
    const commitRound: typeof west.commitRound = async (parts) => {
      if (isCut) uplink.redial('the line is lost')
      return west.commitRound(parts)
    }
    const applied: number[] = []
    const uplink = scene.uplink({ ...west, commitRound }, 'west', server.port, {
      onApplied: ({ position }: Applied) => void applied.push(position.revision),
    })
    await write(global, put('global', 'Policy', 'a'))
    await until(west, async () => (await names(west, 'Policy')).length === 1)
    isCut = true
    await write(global, put('global', 'Policy', 'b'))
    const { revision } = await global.mark()
    await until(west, async () => (await names(west, 'Policy')).length === 2)
    isCut = false
    await until(global, () => server.zones().get('west')?.current === true, server)
    // Once for the commit, and once for the next session, which resumes there.
    expect(applied.filter((one) => one === revision)).toHaveLength(2)
  })

  it('Y13 a replacement names no zone of which the reader has newer rows, until the zone has sent all its rows', async () => {
    const [global, west] = [memory(10), memory()]
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port)
    await write(west, put('west', 'Service', 'former'))
    await until(global, async () => (await names(global, 'Service')).length === 1)
    await uplink[Symbol.asyncDispose]()
    const position = await global.mark()
    for (let index = 0; index < 30; index += 1) await write(global, put('global', 'Policy', 'busy', { index }))
    using east = await callAsZone(authority, server.port, 'east', { position, uncovered: ['west'] })
    expect(await east.next('replace')).toMatchObject({ origins: ['global'], reason: 'behind' })
    scene.uplink(west, 'west', server.port)
    expect(await east.next('replace', 1)).toMatchObject({ origins: ['west'], reason: 'late' })
  })

  it('Y13 a restored global names a zone only at revisions that have all rows of the zone', async () => {
    const contents = createMemoryContents(scene.deps)
    const [global, east, west] = [createMemoryStore(scene.deps, { contents }), memory(), memory()]
    const server = await scene.server(global)
    const uplinks = [scene.uplink(east, 'east', server.port), scene.uplink(west, 'west', server.port)]
    await write(global, put('global', 'Policy', 'kept'))
    await write(west, put('west', 'Service', 'former'))
    await until(east, async () => (await names(east, 'Service')).length === 1)
    const backup = structuredClone(contents)
    await write(west, put('west', 'Service', 'newer'))
    await until(east, async () => (await names(east, 'Service')).length === 2)
    for (const uplink of uplinks) await uplink[Symbol.asyncDispose]()

    const restored = createMemoryStore(scene.deps, { contents: backup })
    let isFirst = true
    // The global has all rows of west only after it has chosen the revision of the replacement for east.
    const scan: typeof restored.scan = async (filter, options) => {
      if (filter.kind === positionKind && options?.at !== undefined && isFirst) {
        isFirst = false
        scene.uplink(west, 'west', again.port)
        const { revision } = await west.mark()
        const hasAll = () =>
          [again.zones().get('west')?.up].some((up) => up?.sent === revision && up.stored === revision)
        await until(restored, hasAll, again)
      }
      return restored.scan(filter, options)
    }
    const again = await scene.server({ ...restored, scan })
    scene.uplink(east, 'east', again.port)
    // The rows of the global wait for an operator; those of other zones continue.
    await until(restored, () => again.zones().get('east')?.holds.length === 1, again)
    await write(west, put('west', 'Service', 'newest'))
    await until(east, async () => (await names(east, 'Service')).includes('west/newest'))
    const versions = await east.history({ origin: 'west', kind: 'Service', mesh: 'default', name: 'newer' })
    expect(versions.map(({ state }) => state)).not.toContain('forgotten')
    // The position stays while rows are held, so the rows of west are ahead of it.
    expect(uncoveredFrom(await east.get(positionKey('east', 'global')))).toEqual(['west'])
    expect(isFirst).toBe(false)
  })

  it('Y8 a global that was restored from a backup removes nothing until an operator releases it', async () => {
    const contents = createMemoryContents(scene.deps)
    const [global, west] = [createMemoryStore(scene.deps, { contents }), memory()]
    await write(global, put('global', 'Policy', 'old'))
    const backup = structuredClone(contents)
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port)
    await write(global, put('global', 'Policy', 'new'))
    await until(west, async () => (await names(west, 'Policy')).length === 2)
    await uplink[Symbol.asyncDispose]()
    const restored = createMemoryStore(scene.deps, { contents: backup })
    for (let index = 0; index < 20; index += 1) await write(restored, put('global', 'Policy', 'other', { index }))
    const again = await scene.server(restored)
    const held = scene.uplink(west, 'west', again.port)
    for await (const state of held.state.watch(AbortSignal.timeout(5_000))) if (state.hold) break
    expect(held.state.value.hold?.reason).toContain('another history')
    await until(global, () => again.zones().get('west')?.holds[0] !== undefined, again)
    expect(again.zones().get('west')).toMatchObject({ connected: true, current: false })
    expect(await names(west, 'Policy')).toEqual(['global/new', 'global/old'])
    expect(again.release('west', again.zones().get('west')?.holds[0]?.id ?? '')).toBe(true)
    await until(west, async () => (await names(west, 'Policy')).join() === 'global/old,global/other')
  })
})

describe('hooks of a plane', () => {
  it('Y41 numbers are granted before any row comes, and a zone that lost its store is given back what it reported', async () => {
    const global = memory()
    await write(global, put('global', 'Policy', 'one'))
    const server = await scene.server(global, { recall: (report) => report['numbers'] })
    const welcomes: unknown[] = []
    const connect = (store: typeof global) => {
      const grants = {
        request: () => ({ below: 0, count: 10 }),
        async granted({ reserved, recall }: Pick<Welcome, 'reserved' | 'recall'>) {
          welcomes.push({ reserved, recall, rows: await names(store, 'Policy') })
        },
      }
      return scene.uplink(store, 'east', server.port, { grants, report: createLatest(() => ({ numbers: { web: 3 } })) })
    }
    const first = connect(memory())
    await until(global, () => server.zones().get('east')?.report['numbers'] !== undefined, server)
    await first[Symbol.asyncDispose]()
    const lost = memory()
    await lost.raiseIncarnation(2)
    connect(lost)
    await until(lost, async () => (await names(lost, 'Policy')).length > 0)
    expect(welcomes).toEqual([
      { reserved: { below: 10, before: 0 }, recall: undefined, rows: [] },
      { reserved: { below: 20, before: 10 }, recall: { web: 3 }, rows: [] },
    ])
  })

  it('Z10 derived rows are in the same commit as their cause', async () => {
    const [global, west] = [memory(), memory()]
    const server = await scene.server(global)
    scene.uplink(west, 'west', server.port, {
      derive: async (changes) => changes.map((change) => put('west', 'VirtualAddress', change.key.name)),
    })
    await write(global, put('global', 'Policy', 'a'))
    await until(west, async () => (await names(west, 'Policy')).length === 1)
    const [policy] = await west.history({ origin: 'global', kind: 'Policy', mesh: 'default', name: 'a' })
    const [address] = await west.history({ origin: 'west', kind: 'VirtualAddress', mesh: 'default', name: 'a' })
    expect(address?.revision).toBe(policy?.revision)
  })

  it('Y29 a report reaches the global unchanged, and a new session starts it afresh', async () => {
    const [global, west] = [memory(), memory()]
    const server = await scene.server(global)
    const report = { 'a/b': { online: true }, 'c/d': { online: false } }
    const uplink = scene.uplink(west, 'west', server.port, { report: createLatest(() => report) })
    await until(global, () => Object.keys(server.zones().get('west')?.report ?? {}).length === 2, server)
    expect(server.zones().get('west')?.report).toEqual(report)
    await uplink[Symbol.asyncDispose]()
    scene.uplink(west, 'west', server.port, { report: createLatest(() => ({})) })
    await until(global, () => Object.keys(server.zones().get('west')?.report ?? {}).length === 0, server)
  })

  it('Y30 onApplied names the local mark that contains each mark of the global', async () => {
    const [global, west] = [memory(), memory()]
    const applied: string[] = []
    const server = await scene.server(global)
    scene.uplink(west, 'west', server.port, {
      onApplied: ({ position, localMark, written }) =>
        applied.push(
          `${position.revision} in ${localMark.revision}: ${written.map((version) => keyText(version.key)).join()}`,
        ),
    })
    await until(global, () => server.zones().get('west')?.connected === true, server)
    await until(west, async () => (await west.mark()).revision === 1)
    const { revision } = await write(global, put('global', 'Policy', 'a'))
    await until(global, () => (server.zones().get('west')?.stored ?? 0) >= revision, server)
    const line = applied.find((text) => text.includes('Policy'))
    expect(line).toBe(
      `${revision} in ${(await west.mark()).revision}: global/Policy/default/a,west/SyncPosition//global`,
    )
  })
})
