import { err, ok } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { expect, test } from 'vitest'
import { type Credentials, proxyKey } from '../../src/xds/contract.ts'
import { createScene, dataplaneOf } from './scene.ts'

const web = { type: 'dataplane', mesh: 'default', name: 'web' } as const
const key = proxyKey('east', web)
const all: Credentials = { covers: () => ok(undefined) }
const nextTurn = () => new Promise(setImmediate)

test('P26 a proxy is registered with computed labels and as not ready, and as ready when its Envoy has answered', async () => {
  const { store, registrations } = await createScene()
  const { register, arrive, stored } = registrations
  const document = dataplaneOf('web', 'web', { labels: { team: 'red' } })
  expect(await register(web, all, document)).toEqual(ok(undefined))
  const first = await stored(web)
  expect(first?.labels).toEqual({
    ...{ team: 'red', 'kuma.io/mesh': 'default', 'kuma.io/origin': 'zone', 'kuma.io/zone': 'east' },
    ...{ 'kuma.io/env': 'universal', 'kuma.io/proxy-type': 'sidecar', 'zonemesh.io/lease': 'stream' },
  })
  const tags = { 'kuma.io/service': 'web', 'kuma.io/zone': 'east' }
  const inbound = (more: object) => ({ networking: { address: '10.0.0.1', inbound: [{ port: 80, tags, ...more }] } })
  expect(first?.spec).toEqual(inbound({ state: 'NotReady' }))
  arrive(web, keyText(key))
  await nextTurn()
  expect((await stored(web))?.spec).toEqual(inbound({}))
  // It arrives once.
  arrive(web, keyText(key))
  await nextTurn()
  const records = await store.records({ after: 1, limit: 10 })
  expect(records.map(({ subject, intent }) => [subject, intent])).toEqual([
    ['proxy default.web', 'registered by its stream'],
    ['proxy default.web', 'its Envoy has answered'],
  ])
})

test('P26 a proxy of the zone as a whole has no mesh label', async () => {
  const { registrations } = await createScene()
  const egress = { type: 'egress', mesh: '', name: 'e' } as const
  const document = { type: 'ZoneEgress', name: 'e', networking: { address: '10.0.0.1', port: 10_002 } }
  expect(await registrations.register(egress, all, document)).toEqual(ok(undefined))
  const row = await registrations.stored(egress)
  expect(row?.labels).toMatchObject({ 'kuma.io/proxy-type': 'zoneegress', 'zonemesh.io/arriving': 'yes' })
  expect(row?.labels).not.toHaveProperty('kuma.io/mesh')
  expect(registrations.read(egress, document)).toMatchObject({ ok: true, value: { dataplane: undefined } })
})

test.each<[string, object, RegExp]>([
  ['an invalid document', dataplaneOf('web', 'web', { networking: {} }), /networking/],
  ['another kind', { type: 'Mesh', name: 'web' }, /^expected a Dataplane, found a Mesh$/],
  ['another name', dataplaneOf('api'), /^the resource is default\.api, the proxy calls itself default\.web$/],
  ['another mesh', dataplaneOf('web', 'web', { mesh: 'shop' }), /^the resource is shop\.web, the proxy/],
  [
    'a loopback address',
    dataplaneOf('web', 'web', {
      networking: { address: '127.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'w' } }] },
    }),
    /^networking\.address: must not be a loopback address/,
  ],
])('P26 a resource of a proxy is refused: %s', async (_title, document, reason) => {
  const { registrations } = await createScene()
  const result = await registrations.register(web, all, document as ReturnType<typeof dataplaneOf>)
  expect(result.ok ? 'accepted' : result.error).toMatch(reason)
  expect(await registrations.stored(web)).toBeUndefined()
})

test('P26 a proxy replaces a row only if its credentials cover the stored row', async () => {
  const { registrations } = await createScene()
  await registrations.register(web, all, dataplaneOf('web', 'db'))
  const covers: Credentials['covers'] = ({ networking }) =>
    networking?.inbound?.[0]?.tags?.['kuma.io/service'] === 'web' ? ok(undefined) : err('not this service')
  expect(await registrations.register(web, { covers }, dataplaneOf('web', 'web'))).toEqual(
    err('not this service; it must also cover the Dataplane "web" as it is stored'),
  )
  expect(await registrations.register(web, all, dataplaneOf('web', 'web'))).toEqual(ok(undefined))
  expect(await registrations.register(web, { covers }, dataplaneOf('web', 'web'))).toEqual(ok(undefined))
})

test.each([
  [2, ok(undefined)],
  [3, err('the resource was changed at the same time')],
])('P26 a registration whose row is changed meanwhile is tried three times: %i changes', async (changes, expected) => {
  let left = changes
  const { registrations } = await createScene((store) => ({
    ...store,
    async commit(commit) {
      if (left-- > 0) {
        const spec = { networking: { address: `10.0.0.${left + 2}` } }
        await store.commit({ ...commit, changes: [{ op: 'put', key, labels: {}, spec }] })
      }
      return store.commit(commit)
    },
  }))
  expect(await registrations.register(web, all, dataplaneOf('web'))).toEqual(expected)
})

test('P26 if the store fails when a proxy is ready, it is tried again after a second while the proxy is connected', async () => {
  let failures = 2
  const { registrations, clock, connected } = await createScene((store) => ({
    ...store,
    commit: (commit) =>
      commit.intent === 'its Envoy has answered' && failures-- > 0
        ? Promise.reject(new Error('the disk is full'))
        : store.commit(commit),
  }))
  const text = keyText(key)
  connected.add(text)
  const states = async () => JSON.stringify((await registrations.stored(web))?.spec).includes('NotReady')
  await registrations.register(web, all, dataplaneOf('web'))
  registrations.arrive(web, text)
  await nextTurn()
  for (const [ms, isArriving] of [
    [999, true],
    [1, true],
    [999, true],
    [1, false],
  ] as const) {
    clock.advance(ms)
    await nextTurn()
    expect([failures, await states()]).toEqual([expect.any(Number), isArriving])
  }
})

test('P26 a proxy that leaves, or is gone, is not written as ready', async () => {
  const { registrations, leaving } = await createScene()
  const text = keyText(key)
  await registrations.register(web, all, dataplaneOf('web'))
  leaving.add(text)
  registrations.arrive(web, text)
  await nextTurn()
  const isArriving = async () => JSON.stringify((await registrations.stored(web))?.spec).includes('NotReady')
  expect(await isArriving()).toBe(true)
  leaving.clear()
  registrations.arrive(web, text)
  await nextTurn()
  expect(await isArriving()).toBe(true)
})

test('P26 a proxy that has disconnected when the store fails is not tried again', async () => {
  let tries = 0
  const { registrations, clock } = await createScene((store) => ({
    ...store,
    commit: (commit) => {
      if (commit.intent !== 'its Envoy has answered') return store.commit(commit)
      tries += 1
      return Promise.reject(new Error('the disk is full'))
    },
  }))
  await registrations.register(web, all, dataplaneOf('web'))
  registrations.arrive(web, keyText(key))
  await nextTurn()
  clock.advance(2_000)
  await nextTurn()
  expect(tries).toBe(1)
})
