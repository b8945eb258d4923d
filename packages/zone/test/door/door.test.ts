import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createDoor } from '../../src/door/door.ts'
import type { Refusal } from '../../src/xds/ads-state.ts'
import { type Credentials, type ProxyIdentity, type ProxyStream, proxyKey } from '../../src/xds/contract.ts'
import { dataplaneOf } from './scene.ts'

const web = { type: 'dataplane', mesh: 'default', name: 'web' } as const
const egress = { type: 'egress', mesh: '', name: 'e' } as const
const textOf = (proxy: ProxyIdentity) => keyText(proxyKey('east', proxy))
const nextTurn = () => new Promise(setImmediate)

/** The door of zone east, whose other parts record what they receive. */
function scene(claims: JsonObject = {}, replica?: string) {
  const clock = createVirtualClock(0)
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const events: unknown[][] = []
  const record =
    (name: string) =>
    (...given: unknown[]) =>
      void events.push([name, ...given])
  const live = new Set<string>()
  let specOfNames: () => unknown = () => undefined
  const door = createDoor({
    ...{ store, zone: 'east', role: 'zone', sealer: createMemorySealer(), clock, log: silentLog },
    placement: { isLoopbackOnly: false, ports: () => new Set<number>() },
    tokens: {
      verify: async (purpose: string, mesh: string, token: string) =>
        token === 'bad' ? err(`bad ${purpose} ${mesh}`) : ok(claims),
    },
    watch: {
      hold: (held: unknown) => {
        events.push(['hold', held])
        return { [Symbol.dispose]: () => undefined }
      },
    },
    engine: {
      open: (key: string, facts: unknown) => ({ key, facts }),
      mark: { value: 3 },
      reaches: async (mark: number) => mark <= 3,
    },
    leases: {
      opened: record('lease opened'),
      closed: record('lease closed'),
      draining: async (key: string) => void events.push(['lease draining', key]),
    },
    nameFeeds: {
      refresh: record('names refreshed'),
      open: (mesh: string, facts: unknown, spec: () => unknown) => {
        specOfNames = spec
        return { mesh, facts }
      },
    },
    status: {
      isConnected: (key: string) => live.has(key),
      opened: (key: string) => void events.push(['status opened', key]),
      closed: record('status closed'),
      refused: record('status refused'),
      absolved: record('status absolved'),
      served: record('status served'),
      envoyExited: record('envoy exited'),
    },
    random: createSeededRandom(1),
    replica,
    refusals: { gone: record('refusals gone'), refused: record('refusals refused') },
    served: record('served'),
  } as unknown as Parameters<typeof createDoor>[0]) // the door uses only these members
  const credentials: Credentials = { covers: () => ok(undefined) }
  const streamOf = (proxy: ProxyIdentity, resource?: JsonObject, id = 'one') =>
    ({
      id,
      proxy,
      resource,
      credentials,
      facts: { canBindPort80: true },
      metadata: {},
      connectedAtMs: 0,
    }) as ProxyStream
  return {
    ...{ door, store, events, live, streamOf, credentials },
    namesSpec: () => specOfNames(),
    take: () => events.splice(0),
    put: (proxy: ProxyIdentity, spec: object) =>
      store.commit({
        changes: [{ op: 'put', key: proxyKey('east', proxy), labels: {}, spec: { ...spec } }],
        ...{ subject: 'test', intent: 'test' },
      }),
  }
}
const inbound = (service: string) => ({
  networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': service } }] },
})

test('P26 a stream with a resource registers it and has its lease, and one without uses the stored row', async () => {
  const { door, take, streamOf, put } = scene()
  expect(await door.opened(streamOf(web))).toEqual(err('there is no Dataplane "web", and the proxy brings none'))
  expect(await door.opened(streamOf(egress))).toEqual(err('there is no ZoneEgress "e", and the proxy brings none'))
  expect(take()).toEqual([])
  expect(await door.opened(streamOf(web, { ...dataplaneOf('web'), name: 'api' }))).toMatchObject({ ok: false })
  expect(await door.opened(streamOf(web, dataplaneOf('web')))).toEqual(ok(undefined))
  const key = textOf(web)
  expect(take()).toEqual([
    ['lease opened', key, 'one'],
    ['status opened', key],
    ['names refreshed', 'default'],
  ])
  door.closed(streamOf(web, dataplaneOf('web')))
  expect(take()).toEqual([
    ['lease closed', key, 'one', true],
    ['status closed', key, 'one'],
    ['refusals gone', key],
  ])
  // Without a resource the stored row is not that of a lease.
  expect(await door.opened(streamOf(web))).toEqual(ok(undefined))
  door.closed(streamOf(web))
  expect(take().find(([name]) => name === 'lease closed')).toEqual(['lease closed', key, 'one', false])
  await put(egress, { networking: { address: '10.0.0.1', port: 10_002 } })
  expect(await door.opened(streamOf(egress))).toEqual(ok(undefined))
  expect(take().map(([name]) => name)).toEqual(['lease opened', 'status opened'])
})

test('P26 tables and names of a proxy are those for its facts and its spec', async () => {
  const { door, streamOf, namesSpec } = scene()
  expect(door.openTables(web)).toEqual({ key: textOf(web), facts: { canBindPort80: false } })
  door.openNames(web, { canBindPort80: false })
  expect(namesSpec()).toBeUndefined()
  await door.opened(streamOf(web, dataplaneOf('web')))
  expect(door.openTables(web)).toEqual({ key: textOf(web), facts: { canBindPort80: true } })
  expect(door.openNames(web, { part: 1, canBindPort80: true })).toEqual({
    ...{ mesh: 'default', facts: { part: 1, canBindPort80: true } },
  })
  expect(namesSpec()).toMatchObject({ networking: { address: '10.0.0.1' } })
})

test('P26 a proxy whose Envoy has answered is ready, and is reported as served', async () => {
  const { door, streamOf, store, take } = scene()
  await door.opened(streamOf(web, dataplaneOf('web')))
  const isArriving = async () =>
    JSON.stringify((await store.get(proxyKey('east', web)))?.row?.spec).includes('NotReady')
  expect(await isArriving()).toBe(true)
  take()
  door.served(web, 5)
  expect(take()).toEqual([
    ['status served', textOf(web)],
    ['served', textOf(web), 5],
  ])
  await nextTurn()
  expect(await isArriving()).toBe(false)
})

test('P26 after the end of its stream a proxy is not written as ready', async () => {
  const { door, streamOf, store } = scene()
  await door.opened(streamOf(web, dataplaneOf('web')))
  door.closed(streamOf(web))
  door.served(web, 5)
  await nextTurn()
  expect(JSON.stringify((await store.get(proxyKey('east', web)))?.row?.spec)).toContain('NotReady')
})

test('P30 a draining proxy is not registered again until its stream ends, and one without a stream is', async () => {
  const { door, streamOf, live, credentials, take } = scene()
  await door.opened(streamOf(web, dataplaneOf('web')))
  take()
  expect(await door.draining(web, credentials)).toEqual(ok(undefined))
  expect(take()).toEqual([['lease draining', textOf(web)]])
  expect(await door.opened(streamOf(web, dataplaneOf('web')))).toEqual(ok(undefined))
  live.add(textOf(web))
  await door.draining(web, credentials)
  expect(await door.opened(streamOf(web, dataplaneOf('web')))).toEqual(err('the proxy is draining'))
  door.closed(streamOf(web))
  expect(await door.opened(streamOf(web, dataplaneOf('web')))).toEqual(ok(undefined))
})

test('P30 a session drains, or reports the exit of Envoy, only with credentials that cover the stored row', async () => {
  const { door, put, take, credentials } = scene()
  await put(web, inbound('web'))
  const other: Credentials = { covers: () => err('the token does not allow kuma.io/service=web') }
  expect(await door.draining(web, other)).toMatchObject({ ok: false })
  await door.envoyExited(web, other, { code: 1, signal: '' })
  expect(take()).toEqual([])
  await door.envoyExited(web, credentials, { code: 1, signal: '' })
  expect(take()).toEqual([['envoy exited', textOf(web)]])
})

test('P30 a refusal of content with known sources leaves them out, and other refusals only show in the status', () => {
  const { door, take } = scene()
  const refusal = (reason: 'bind' | 'content', contributions: string[]) =>
    ({ name: 'l', version: '1', detail: 'no', reason, contributions }) as unknown as Refusal // its type is not read
  for (const [given, expected] of [
    [refusal('content', ['row']), 'refusals refused'],
    [refusal('content', []), 'status refused'],
    [refusal('bind', ['row']), 'status refused'],
  ] as const) {
    door.refused(web, given)
    expect(take()).toEqual([[expected, textOf(web), given]])
  }
  door.absolved(web, { typeUrl: 'x' as never, name: 'l' })
  expect(take()).toEqual([['status absolved', textOf(web), { typeUrl: 'x', name: 'l' }]])
})

test('P21 a token must cover the resource that a proxy sends and the stored row', async () => {
  const { door, put } = scene({ Tags: { 'kuma.io/service': ['web'] } })
  const isAllowed = async (token: string, proxy: ProxyIdentity, resource?: JsonObject) =>
    (await door.authenticate(token, proxy, resource)).ok
  expect(await isAllowed('t', web)).toBe(true)
  expect(await isAllowed('bad', web)).toBe(false)
  expect(await isAllowed('t', web, dataplaneOf('web', 'web'))).toBe(true)
  expect(await isAllowed('t', web, dataplaneOf('web', 'db'))).toBe(false)
  // A resource that cannot be read is refused when it is registered; until then the stored row counts.
  expect(await isAllowed('t', web, { type: 'Mesh', name: 'm' })).toBe(true)
  await put(web, inbound('db'))
  expect(await isAllowed('t', web)).toBe(false)
  expect(await isAllowed('t', web, dataplaneOf('web', 'web'))).toBe(false)
  await put(egress, { networking: {} })
  const zoneToken = scene({ Scope: ['egress'] })
  expect((await zoneToken.door.authenticate('t', egress, undefined)).ok).toBe(true)
})

test('P21 the token of a proxy is watched for its purpose, without the word Bearer, and its expiry does not end the stream', () => {
  const { door, take } = scene()
  door.holdToken('Bearer abc', web, () => undefined)
  door.holdToken(undefined, egress, () => undefined)
  const held = { token: 'abc', who: textOf(web), endsOnExpiry: false }
  expect(take()).toEqual([
    ['hold', { ...held, purpose: 'dataplane', mesh: 'default' }],
    ['hold', { ...held, purpose: 'zone', mesh: '', token: '', who: textOf(egress) }],
  ])
  expect(door.bootstrap.tokenRequired('dataplane')).toBe(true)
})

test('ZR6 a replica that has not compiled the newest mark refuses a proxy, and a zone of one process does not ask', async () => {
  for (const [replica, isRefused] of [
    ['one', true],
    [undefined, false],
  ] as const) {
    const { door, put } = scene({}, replica)
    for (const name of ['a', 'b', 'c']) await put({ ...web, name }, inbound(name))
    expect((await door.authenticate('good', web, dataplaneOf('web'))).ok).toBe(true)
    await put({ ...web, name: 'd' }, inbound('d'))
    const outcome = await door.authenticate('good', web, dataplaneOf('web'))
    const reason = 'this replica has compiled revision 3, and the zone is at 4: try another one'
    if (isRefused) expect(outcome).toEqual(err(reason))
    else expect(outcome.ok).toBe(true)
  }
})
