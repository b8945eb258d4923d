import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createLatest } from '../../src/streams/latest.ts'
import { nothingServed, type ServedStatus } from '../../src/sync/served-status.ts'
import { createTestAuthority, type TestAuthority } from './certificates.ts'
import { createScene, names, put, remove, until, write } from './mesh.ts'

let authority: TestAuthority
let scene: ReturnType<typeof createScene>
beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(() => {
  scene = createScene(authority)
})
afterEach(() => scene.close())

const memory = () => createMemoryStore(scene.deps)

describe('one global and two zones', () => {
  it('Y31 policies go to zones, rows of a zone go to the global and to other zones, and no row goes further than its kind', async () => {
    const [global, west, east] = [
      await scene.sqlite(join(scene.folder(), 'g.db')),
      await scene.sqlite(join(scene.folder(), 'w.db')),
      memory(),
    ]
    await write(global, put('global', 'Policy', 'before'), put('global', 'Secretive', 'mine'))
    await write(global, put('global', 'Certificate', 'w', { zone: 'west' }))
    const server = await scene.server(global)
    scene.uplink(west, 'west', server.port)
    scene.uplink(east, 'east', server.port)
    await write(west, put('west', 'Dataplane', 'web'), put('west', 'Service', 'web'), put('west', 'Policy', 'not-mine'))
    await until(east, async () => (await names(east, 'Service')).length === 1)
    await until(global, async () => (await names(global, 'Dataplane')).length === 1)
    await write(global, put('global', 'Policy', 'after'))
    for (const zone of [west, east])
      await until(zone, async () => (await names(zone, 'Policy')).includes('global/after'))
    expect(await names(global, 'Policy')).toEqual(['global/after', 'global/before'])
    expect(await names(west, 'Policy')).toEqual(['global/after', 'global/before', 'west/not-mine'])
    expect(await names(east, 'Policy')).toEqual(['global/after', 'global/before'])
    expect(await names(east, 'Service')).toEqual(['west/web'])
    expect(await names(east, 'Dataplane')).toEqual([])
    expect(await names(west, 'Certificate')).toEqual(['global/w'])
    expect(await names(east, 'Certificate')).toEqual([])
    expect(await names(west, 'Secretive')).toEqual([])
    await write(west, remove('west', 'Service', 'web'))
    await until(east, async () => (await names(east, 'Service')).length === 0)
    await write(global, put('global', 'Certificate', 'w', { zone: 'east' }))
    await until(west, async () => (await names(west, 'Certificate')).length === 0)
    await until(east, async () => (await names(east, 'Certificate')).length === 1)
  })

  it('Y1 after a restart of either side the session resumes by position, and nothing is sent twice', async () => {
    const [folder, zoneFolder] = [scene.folder(), scene.folder()]
    let global = await scene.sqlite(join(folder, 'g.db'))
    let west = await scene.sqlite(join(zoneFolder, 'w.db'))
    for (let index = 0; index < 50; index += 1) await write(global, put('global', 'Policy', `p${index}`))
    await write(west, put('west', 'Dataplane', 'web'))
    let server = await scene.server(global)
    const { port } = server
    let uplink = scene.uplink(west, 'west', port)
    await until(global, () => (server.zones().get('west')?.counters.rowsApplied ?? 0) >= 50, server)
    await until(global, async () => (await names(global, 'Dataplane')).length === 1)
    expect(server.zones().get('west')?.counters).toMatchObject({ rowsReceived: 50 })

    await uplink[Symbol.asyncDispose]()
    await west.close()
    west = await scene.sqlite(join(zoneFolder, 'w.db'))
    await write(global, put('global', 'Policy', 'while-away'))
    uplink = scene.uplink(west, 'west', port)
    await until(global, () => (server.zones().get('west')?.counters.rowsApplied ?? 0) === 2, server)
    expect(server.zones().get('west')?.counters).toMatchObject({ rowsReceived: 1 })

    await server[Symbol.asyncDispose]()
    await global.close()
    global = await scene.sqlite(join(folder, 'g.db'))
    await write(west, put('west', 'Dataplane', 'second'))
    server = await scene.server(global, { port })
    const { revision } = await write(global, put('global', 'Policy', 'after-restart'))
    await until(global, () => (server.zones().get('west')?.stored ?? 0) >= revision, server)
    await until(global, async () => (await names(global, 'Dataplane')).length === 2)
    expect(server.zones().get('west')?.counters).toMatchObject({ rowsReceived: 1 })
    expect(server.zones().get('west')?.epoch).toBe(3)
  })

  it('Y32 without changes no store commits and no rows move', async () => {
    const [global, west, east] = [memory(), memory(), memory()]
    const server = await scene.server(global)
    scene.uplink(west, 'west', server.port)
    scene.uplink(east, 'east', server.port)
    const { revision } = await write(global, put('global', 'Policy', 'one'))
    const current = () => ['west', 'east'].every((zone) => (server.zones().get(zone)?.stored ?? 0) >= revision)
    await until(global, current, server)
    const receipts = await server.waitFor(
      { revision: (await global.head()).revision, level: 'stored', zones: ['west', 'east'], timeoutMs: 5_000 },
      AbortSignal.timeout(5_000),
    )
    expect(receipts.map((receipt) => receipt.state)).toEqual(['done', 'done'])
    const heads = await Promise.all([global, west, east].map(async (store) => (await store.head()).revision))
    // Longer than any round trip, so that a commit after the last bookmark would show.
    await server.waitFor(
      { revision: 999_999, level: 'stored', zones: ['west'], timeoutMs: 200 },
      AbortSignal.timeout(5_000),
    )
    expect(await Promise.all([global, west, east].map(async (store) => (await store.head()).revision))).toEqual(heads)
  })
})

describe('admission of zones', () => {
  it('Y33 a zone whose token is refused reports the reason', async () => {
    const global = memory()
    const server = await scene.server(global)
    const uplink = scene.uplink(memory(), 'west', server.port, { token: 'stale' })
    await until(global, () => uplink.state.value.phase === 'refused', {
      ...server,
      onChange: (listener) => watch(uplink.state, listener),
    })
    expect(uplink.state.value.reason).toBe('the token has expired')
  })

  it('Y33 a zone refuses a token of another zone by itself', async () => {
    const global = memory()
    const server = await scene.server(global)
    const uplink = scene.uplink(memory(), 'west', server.port, { token: 'token-of-east' })
    await until(global, () => uplink.state.value.phase === 'refused', {
      ...server,
      onChange: (listener) => watch(uplink.state, listener),
    })
    expect(uplink.state.value.reason).toBe('expected the token of zone west, found one of zone east')
  })

  it('Y34 a zone sends nothing to a global whose authority is not the pinned one', async () => {
    const global = memory()
    let asked = 0
    const server = await scene.server(global, {
      authenticate: async () => {
        asked += 1
        return { ok: false, error: 'never' }
      },
    })
    const uplink = scene.uplink(memory(), 'west', server.port, { pinSha256Hex: 'ab'.repeat(32) })
    await until(global, () => uplink.state.value.phase === 'refused', {
      ...server,
      onChange: (listener) => watch(uplink.state, listener),
    })
    expect(uplink.state.value.reason).toContain('expected a certificate authority with SHA-256 abab')
    expect(asked).toBe(0)
  })

  it('Y14 a newer session of the same store ends the older one, and another store is refused while the holder lives', async () => {
    const [global, west] = [memory(), memory()]
    const server = await scene.server(global)
    const first = scene.uplink(west, 'west', server.port)
    await until(global, () => server.zones().get('west')?.connected === true, server)
    const other = scene.uplink(memory(), 'west', server.port, { hostname: 'impostor' })
    await until(global, () => other.state.value.phase === 'refused', {
      ...server,
      onChange: (listener) => watch(other.state, listener),
    })
    expect(other.state.value.reason).toMatch(
      /^another control plane runs as this zone: west-host, started .* with another store; stop one of the two$/,
    )
    expect(first.state.value.phase).toBe('connected')
    const second = scene.uplink(west, 'west', server.port)
    await until(global, () => first.state.value.phase === 'waiting', {
      ...server,
      onChange: (listener) => watch(first.state, listener),
    })
    expect(first.state.value.reason).toContain('newer session')
    await second[Symbol.asyncDispose]()
  })
})

describe('replaced stores', () => {
  it('Y9 a zone refuses a global with another store, and keeps its rows', async () => {
    const [global, west] = [memory(), memory()]
    await write(global, put('global', 'Policy', 'one'))
    const server = await scene.server(global)
    const uplink = scene.uplink(west, 'west', server.port)
    await until(west, async () => (await names(west, 'Policy')).length === 1)
    await uplink[Symbol.asyncDispose]()
    const other = memory()
    const otherServer = await scene.server(other)
    const again = scene.uplink(west, 'west', otherServer.port)
    await until(west, () => again.state.value.phase === 'refused', {
      ...server,
      onChange: (listener) => watch(again.state, listener),
    })
    expect(again.state.value.reason).toContain(
      `expected the global whose store is ${global.id}, found one whose store is ${other.id}`,
    )
    expect(await names(west, 'Policy')).toEqual(['global/one'])
    await again[Symbol.asyncDispose]()
    scene.uplink(west, 'west', otherServer.port, { acceptGlobalStore: other.id })
    await until(west, async () => (await names(west, 'Policy')).length === 0)
  })

  it('F22 Y11 a zone with a new store replaces only its own former rows, and the rest stays until it expires', async () => {
    const [global, west, east] = [memory(), memory(), memory()]
    const server = await scene.server(global, { formerStayMs: 1 })
    const uplink = scene.uplink(west, 'west', server.port)
    scene.uplink(east, 'east', server.port)
    await write(west, put('west', 'Service', 'old'), put('west', 'Service', 'kept', { by: 'old' }))
    await write(east, put('east', 'Service', 'eastern'))
    await until(global, async () => (await names(global, 'Service')).length === 3)
    await until(east, async () => (await names(east, 'Service')).length === 3)
    await uplink[Symbol.asyncDispose]()
    await until(global, () => server.zones().get('west')?.connected === false, server)
    const renewed = memory()
    await write(renewed, put('west', 'Service', 'kept', { by: 'new' }))
    scene.uplink(renewed, 'west', server.port)
    const kept = async () => (await global.scan({ kind: 'Service', origin: 'west' }))[0]?.spec
    await until(global, async () => (await kept())?.['by'] === 'new')
    expect(await names(east, 'Service')).toEqual(['east/eastern', 'west/kept', 'west/old'])
    await until(global, async () => (await names(global, 'Service')).join() === 'east/eastern,west/kept')
    await until(east, async () => (await names(east, 'Service')).join() === 'east/eastern,west/kept')
  })
})

describe('receipts', () => {
  it('Y35 a receipt shows per zone when a revision was stored and served, and a disconnected zone is pending with a reason', async () => {
    const [global, west] = [memory(), memory()]
    const server = await scene.server(global)
    const served = createLatest<ServedStatus>(nothingServed)
    scene.uplink(west, 'west', server.port, {
      served,
      onApplied: ({ position }) => served.set({ ...nothingServed, served: position }),
    })
    await until(global, () => server.zones().get('west')?.connected === true, server)
    const { revision } = await write(global, put('global', 'Policy', 'one'))
    const signal = AbortSignal.timeout(10_000)
    const [west1] = await server.waitFor({ revision, level: 'served', zones: ['west'], timeoutMs: 5_000 }, signal)
    expect(west1).toMatchObject({ zone: 'west', state: 'done', delayMs: expect.any(Number) })
    const both = await server.waitFor({ revision, level: 'stored', zones: ['west', 'east'], timeoutMs: 20 }, signal)
    expect(both.map((receipt) => receipt.state)).toEqual(['done', 'pending'])
    expect(both[1]).toMatchObject({ reason: 'not connected' })
  })
})

function watch(state: { watch(signal: AbortSignal): AsyncIterable<unknown> }, listener: () => void): Disposable {
  const stop = new AbortController()
  void (async () => {
    for await (const _ of state.watch(stop.signal)) listener()
  })()
  return { [Symbol.dispose]: () => stop.abort() }
}
