import { expect, test } from 'vitest'
import { err, ok } from '../../src/base/base.ts'
import { createVirtualClock } from '../../src/env/clock.ts'
import type { QueryFrame } from '../../src/query/query.ts'
import type { Message } from '../../src/sync/log/messages.ts'
import { ownProtocol } from '../../src/sync/log/protocol.ts'
import { startQueries } from '../../src/sync/session-queries.ts'
import { createTestAuthority } from './certificates.ts'
import { createScene, until } from './mesh.ts'

const never = new AbortController().signal
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

/** The queries of a session whose rows and channel the test controls. */
function createSession() {
  const clock = createVirtualClock()
  const ending = new AbortController()
  const sent: QueryFrame['type'][] = []
  const rested = new Set<() => void>()
  const control = { isResting: true, drained: Promise.resolve() }
  const queries = startQueries(
    {
      clock,
      lifetime: { signal: ending.signal },
      peer: 'west',
      channel: { drained: () => control.drained },
      sender: {
        isResting: () => control.isResting,
        onRest(listener) {
          rested.add(listener)
          return { [Symbol.dispose]: () => void rested.delete(listener) }
        },
      },
      send: (message: Message) => void (message.type === 'query' && sent.push(message.frame.type)),
    },
    {
      handlers: { q: async () => ok({ a: 1 }) },
      packing: { pack: async (bytes) => bytes, unpack: async (bytes) => bytes },
    },
  )
  const ask = async () => {
    queries.receive({ type: 'ask', id: 1, name: 'q', request: new TextEncoder().encode('{}') })
    await settle()
  }
  return { clock, control, queries, ask, sent, ending, rest: () => [...rested].forEach((listener) => listener()) }
}

test('QX14 an answer waits while rows wait to be sent, but no longer than 500 ms', async () => {
  const { clock, control, ask, sent, rest } = createSession()
  control.isResting = false
  await ask()
  expect(sent).toEqual([])
  rest()
  await settle()
  expect(sent).toEqual(['answer'])
  await ask()
  clock.advance(499)
  await settle()
  expect(sent).toEqual(['answer'])
  clock.advance(1)
  await settle()
  expect(sent).toEqual(['answer', 'answer'])
})

test('QX14 an answer waits until the channel takes more', async () => {
  const { control, ask, sent } = createSession()
  const drained = Promise.withResolvers<void>()
  control.drained = drained.promise
  await ask()
  expect(sent).toEqual([])
  drained.resolve()
  await settle()
  expect(sent).toEqual(['answer'])
})

test('QX4 after the end of a session nothing is sent, and no timer is left', async () => {
  const { clock, control, ask, sent, queries, ending } = createSession()
  control.isResting = false
  await ask()
  const asked = queries.ask('q', {}, never)
  ending.abort()
  queries[Symbol.dispose]()
  clock.advance(20_000)
  await settle()
  expect(sent).toEqual(['ask'])
  expect(await asked).toEqual(err({ code: 'ended', reason: 'the session with west has ended' }))
})

test('QX15 a global asks a zone, and a zone its global, over the session of the zone', async () => {
  const scene = createScene(await createTestAuthority())
  try {
    const [globalStore, zoneStore] = [
      await scene.sqlite(`${scene.folder()}/g`),
      await scene.sqlite(`${scene.folder()}/z`),
    ]
    const server = await scene.server(globalStore, {
      queries: { handlersFor: (zone) => ({ who: async () => ok({ global: 'asked', zone }) }) },
    })
    const uplink = scene.uplink(zoneStore, 'west', server.port, { queries: { who: async () => ok({ zone: 'west' }) } })
    const isConnected = () => server.zones().get('west')?.connected === true
    await until(globalStore, isConnected, server)
    expect(await server.ask('west', 'who', {}, never)).toEqual(ok({ zone: 'west' }))
    expect(await uplink.ask('who', {}, never)).toEqual(ok({ global: 'asked', zone: 'west' }))
    expect(await server.ask('west', 'other', {}, never)).toMatchObject(err({ code: 'unknown' }))
    expect(await server.ask('east', 'who', {}, never)).toEqual(
      err({ code: 'ended', reason: 'zone "east" is not connected to the global' }),
    )
  } finally {
    await scene.close()
  }
})

test('QX16 a peer that answers no queries is not asked, and the reason names its version', async () => {
  const older = { ...ownProtocol, features: [] }
  const scene = createScene(await createTestAuthority())
  try {
    const [globalStore, zoneStore] = [
      await scene.sqlite(`${scene.folder()}/g`),
      await scene.sqlite(`${scene.folder()}/z`),
    ]
    const server = await scene.server(globalStore, { protocol: older })
    const uplink = scene.uplink(zoneStore, 'west', server.port)
    await until(globalStore, () => server.zones().get('west')?.connected === true, server)
    await until(zoneStore, () => uplink.state.value.phase === 'connected')
    const zone = 'zone "west" runs version test, which answers no queries: upgrade it'
    expect(await server.ask('west', 'who', {}, never)).toEqual(err({ code: 'unsupported', reason: zone }))
    const global = 'the global at global-host runs version test, which answers no queries: upgrade it'
    expect(await uplink.ask('who', {}, never)).toEqual(err({ code: 'unsupported', reason: global }))
  } finally {
    await scene.close()
  }
})
