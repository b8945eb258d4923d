import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { HorizonError } from '../../src/store/errors.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
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

it('F49 a zone behind a pruned history gets one announced replacement, which loses nothing and deletes no rows of others', async () => {
  const global = createMemoryStore(scene.deps, { horizonRevisions: 20 })
  const [west, east] = [createMemoryStore(scene.deps), createMemoryStore(scene.deps)]
  const server = await scene.server(global)
  const first = scene.uplink(west, 'west', server.port)
  const eastern = scene.uplink(east, 'east', server.port)
  await write(
    global,
    put('global', 'Policy', 'kept'),
    put('global', 'Policy', 'gone'),
    put('global', 'Policy', 'changed'),
  )
  await write(west, put('west', 'Service', 'own'))
  await write(east, put('east', 'Service', 'stays'), put('east', 'Service', 'goes'))
  await until(west, async () => (await names(west, 'Service')).length === 3)
  await until(west, async () => (await names(west, 'Policy')).length === 3)
  // An origin without rows at the global, as after a change of globals: no replacement of the global may name it.
  const stamp = { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 }
  const key = { origin: 'south', kind: 'Service', mesh: 'default', name: 'foreign' }
  await write(west, { op: 'put', key, labels: {}, spec: {}, stamp })
  await first[Symbol.asyncDispose]()
  await until(global, () => server.zones().get('west')?.connected === false, server)

  await write(global, remove('global', 'Policy', 'gone'))
  await write(east, remove('east', 'Service', 'goes'))
  await until(global, async () => (await names(global, 'Service')).join() === 'east/stays,west/own')
  for (let index = 0; index < 60; index += 1) await write(global, put('global', 'Policy', 'changed', { index }))
  const position = first.state.value.position
  if (!position) throw new Error('west has no position')
  expect(await global.standing(position)).toBe('behind')
  await expect(global.changesSince(position.revision, position.revision + 1)).rejects.toThrow(HorizonError)

  const again = scene.uplink(west, 'west', server.port)
  await until(west, async () => (await names(west, 'Policy')).join() === 'global/changed,global/kept')
  const live = async (store: typeof west) => [
    ...(await store.scan({ kind: 'Policy' })),
    ...(await store.scan({ kind: 'Service', origin: 'east' })),
  ]
  expect(await live(west)).toEqual(await live(global))
  expect(await names(west, 'Service')).toEqual(['east/stays', 'south/foreign', 'west/own'])
  // The replacement neither deletes nor rewrites these rows, so each still has its one version.
  for (const { key } of [...(await west.scan({ kind: 'Service' })), ...(await west.scan({ kind: 'Policy' }))]) {
    const versions = await west.history(key)
    expect(versions.map((version) => version.state)).toEqual(key.name === 'changed' ? ['live', 'live'] : ['live'])
  }
  // There is only one replacement: later commits arrive as changes.
  const { revision } = await write(global, put('global', 'Policy', 'after'))
  await until(global, () => (server.zones().get('west')?.stored ?? 0) >= revision, server)
  expect(server.zones().get('west')?.counters.rowsReceived).toBe((await live(global)).length)
  await again[Symbol.asyncDispose]()
  await eastern[Symbol.asyncDispose]()
})

it('F49 history that is pruned while a reader is slow is replaced once, announced, at a fixed revision', async () => {
  const global = createMemoryStore(scene.deps, { horizonRevisions: 20 })
  const { revision, store, commitId } = await write(global, put('global', 'Policy', 'start'))
  // A page of changes that fills more than one frame, and another page, which is read after the horizon has passed.
  const pad = 'x'.repeat(300)
  const policies = Array.from({ length: 600 }, (_unused, index) => put('global', 'Policy', `p${index}`, { pad }))
  await write(global, ...policies)
  await write(global, remove('global', 'Policy', 'start'))
  const server = await scene.server(global)
  using reader = await callAsZone(authority, server.port, 'west', {
    position: { store, revision, commitId },
    creditBytes: 1,
  })
  await reader.next('rows')
  for (let index = 0; index < 60; index += 1) await write(global, put('global', 'Policy', 'busy', { index }))
  expect(await global.standing({ store, revision, commitId })).toBe('behind')
  reader.send({ type: 'credit', bytes: 10_000_000 })
  const replace = await reader.next('replace')
  expect(replace).toMatchObject({ reason: 'behind', origins: expect.arrayContaining(['global']) })
  const mark = await reader.next('mark')
  expect(mark.position).toEqual(replace.position)
  const messages = reader.messages()
  const brought = messages
    .slice(messages.indexOf(replace), messages.indexOf(mark))
    .flatMap((message) => (message.type === 'rows' ? message.rows : []))
  expect(brought.map((row) => [row.state, row.key.name])).toEqual(
    (await global.scan({ kind: 'Policy' }, { at: mark.position.revision })).map((row) => ['live', row.key.name]),
  )
  expect(messages.filter((message) => message.type === 'replace')).toHaveLength(1)
  // After its mark the reader gets changes again.
  await write(global, put('global', 'Policy', 'after'))
  await reader.next('mark', 1)
  expect(reader.messages().filter((message) => message.type === 'replace')).toHaveLength(1)
})
