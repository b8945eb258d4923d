import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createTokenKeeper } from '@zonemesh/plane/tokens/keeper.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens, type Purpose } from '@zonemesh/plane/tokens/tokens.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { authenticateProxy, bareToken } from '../../src/door/authenticate.ts'
import type { ProxyIdentity } from '../../src/xds/contract.ts'

/** The tokens of a global over a memory store, and zone east, which checks them. */
function scene() {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const base = {
    store,
    sealer: createMemorySealer(),
    origin: globalOrigin,
    clock,
    log: silentLog,
    commit: store.commit,
  }
  const tokens = createTokens({ clock }, createKeySource({ ...base, owns: () => true }))
  const keeper = createTokenKeeper(base)
  return {
    async issue(purpose: Purpose, claims: JsonObject, mesh = ''): Promise<string> {
      const token = await tokens.issue(purpose, mesh, claims, 3_600_000)
      await keeper.reconcile()
      return token ?? ''
    },
    enter: (token: string | undefined, proxy: ProxyIdentity) =>
      authenticateProxy({ tokens, zone: 'east' }, token, proxy),
  }
}

const web = { type: 'dataplane', mesh: 'default', name: 'web-1' } as const
const zoneProxy = (type: 'ingress' | 'egress') => ({ type, mesh: '', name: type }) as const
const inbound = (tags: Record<string, string>) => ({ networking: { inbound: [{ port: 80, tags }] } })

test('P21 every tag of a dataplane token must be a tag of the proxy, with one of the values of the token', async () => {
  const { issue, enter } = scene()
  const token = await issue('dataplane', { Tags: { 'kuma.io/service': ['web', 'api'], team: ['red'] } }, 'default')
  const entered = await enter(token, web)
  const covers = (tags: Record<string, string>) => (entered.ok ? entered.value.covers(inbound(tags)) : entered)
  expect(covers({ 'kuma.io/service': 'web', team: 'red', version: '1' })).toMatchObject({ ok: true })
  expect(covers({ 'kuma.io/service': 'api', team: 'red' })).toMatchObject({ ok: true })
  expect(covers({ 'kuma.io/service': 'web' })).toEqual({
    ok: false,
    error: 'the token needs the tag "team", which the proxy does not have',
  })
  expect(covers({ 'kuma.io/service': 'db', team: 'red' })).toEqual({
    ok: false,
    error: 'the token does not allow kuma.io/service=db',
  })
  // Every inbound counts, and so do the tags of a gateway.
  const [api, db] = ['api', 'db'].map((service) => ({ port: 80, tags: { 'kuma.io/service': service, team: 'red' } }))
  const refused = { ok: false, error: 'the token does not allow kuma.io/service=db' }
  expect(entered.ok && api && db && entered.value.covers({ networking: { inbound: [api, db] } })).toEqual(refused)
  const gateway = { type: 'BUILTIN', tags: { 'kuma.io/service': 'db', team: 'red' } } as const
  expect(entered.ok && entered.value.covers({ networking: { gateway } })).toEqual(refused)
})

test('P21 a dataplane token without tags covers all tags, and only its mesh and its name', async () => {
  const { issue, enter } = scene()
  const free = await enter(await issue('dataplane', { Tags: {} }, 'default'), web)
  expect(free.ok && free.value.covers(inbound({ 'kuma.io/service': 'any' }))).toEqual({ ok: true, value: undefined })
  const named = await issue('dataplane', { Name: 'web-2', Mesh: 'default' }, 'default')
  expect(await enter(named, web)).toEqual({
    ok: false,
    error: 'the token is for the proxy "web-2", this one is "web-1"',
  })
  expect(await enter(named, { ...web, name: 'web-2' })).toMatchObject({ ok: true })
  const ofShop = await issue('dataplane', { Mesh: 'shop' }, 'default')
  expect(await enter(ofShop, web)).toMatchObject({ ok: false, error: expect.stringContaining('is for mesh "shop"') })
  expect(await enter(undefined, web)).toEqual({ ok: false, error: 'a token is needed, found none' })
})

test('P22 the scope of a zone token admits only proxies of this type, in the zone of the token', async () => {
  const { issue, enter } = scene()
  const refused = (scope: string, wanted: string) => ({
    ok: false,
    error: `the token's scope is ${scope}, expected ${wanted}`,
  })
  const ingress = await issue('zone', { Zone: 'east', Scope: ['ingress'] })
  expect(await enter(ingress, zoneProxy('ingress'))).toMatchObject({ ok: true })
  expect(await enter(ingress, zoneProxy('egress'))).toEqual(refused('ingress', 'egress'))
  const egress = await issue('zone', { Zone: 'east', Scope: ['egress'] })
  expect(await enter(egress, zoneProxy('egress'))).toMatchObject({ ok: true })
  expect(await enter(egress, zoneProxy('ingress'))).toEqual(refused('egress', 'ingress'))
  const plane = await issue('zone', { Zone: 'east', Scope: ['cp'] })
  expect(await enter(plane, zoneProxy('ingress'))).toEqual(refused('cp', 'ingress'))
  expect(await enter(await issue('zone', { Zone: 'east' }), zoneProxy('ingress'))).toEqual(refused('empty', 'ingress'))
  const west = await issue('zone', { Zone: 'west', Scope: ['ingress'] })
  expect(await enter(west, zoneProxy('ingress'))).toEqual({
    ok: false,
    error: 'the token is for zone "west", this is zone "east"',
  })
  // A token of one purpose does not count for another.
  expect(await enter(ingress, web)).toMatchObject({ ok: false })
  expect(await enter(await issue('dataplane', {}, 'default'), zoneProxy('ingress'))).toMatchObject({ ok: false })
})

test('P21 a token that was signed for proxies of a zone is good only there', async () => {
  const { issue, enter } = await scene()
  const of = (zone: string) => issue('dataplane', { Name: '', Mesh: 'default', Tags: {}, Zone: zone }, 'default')
  expect(await enter(await of('east'), web)).toMatchObject({ ok: true })
  expect(await enter(await of('west'), web)).toEqual({
    ok: false,
    error: 'the token is for proxies of zone "west", this is zone "east"',
  })
})

test('P21 the word Bearer before a token is not part of it', () => {
  expect([bareToken('Bearer abc'), bareToken('bearer  abc '), bareToken(' abc'), bareToken(undefined)]).toEqual([
    'abc',
    'abc',
    'abc',
    '',
  ])
})
