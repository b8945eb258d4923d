import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { createZoneQueries } from '../src/zone-queries.ts'

const request = { mesh: 'shop', name: 'web-1', tags: { 'kuma.io/service': ['web'] }, workload: '', validForMs: 60_000 }

/** A global with the mesh "shop" and a Zone "east" with this spec. Its tokens show what they are for. */
async function scene(spec: JsonObject | undefined) {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(3) })
  const put = (kind: string, name: string, content: JsonObject) =>
    ({ op: 'put', key: { origin: globalOrigin, kind, mesh: '', name }, labels: {}, spec: content }) as const
  const changes = [put('Mesh', 'shop', {}), ...(spec ? [put('Zone', 'east', spec)] : [])]
  await store.commit({ changes, subject: 'test', intent: 'test' })
  const issue = async (purpose: string, mesh: string, claims: JsonObject, validForMs: number) =>
    JSON.stringify([purpose, mesh, claims, validForMs])
  const handlers = createZoneQueries({ store, tokens: { issue }, log: silentLog })('east')
  return (asked: JsonObject) => handlers['dataplane-token']?.(asked, new AbortController().signal)
}

test('QX21 a token that a zone asks for is good in this zone only', async () => {
  const ask = await scene({ enabled: true })
  const claims = {
    ...{ Name: 'web-1', Mesh: 'shop', Tags: { 'kuma.io/service': ['web'] }, Type: 'dataplane', Workload: '' },
    Zone: 'east',
  }
  expect(await ask(request)).toEqual(ok({ token: JSON.stringify(['dataplane', 'shop', claims, 60_000]) }))
})

test.each<[string, JsonObject | undefined, JsonObject, RegExp]>([
  ['a mesh that does not exist', {}, { mesh: 'other' }, /^there is no mesh "other"$/],
  [
    'a mesh outside of its limits',
    { limits: { meshes: ['a*'] } },
    {},
    /^the Zone limits its meshes to a\*, found shop$/,
  ],
  ['anything while it is disabled', { enabled: false }, {}, /^the Zone "east" is disabled or deleted$/],
  ['anything after its Zone was deleted', undefined, {}, /^the Zone "east" is disabled or deleted$/],
  ['a token without a mesh', {}, { mesh: '' }, /another form/],
  ['a token without an end', {}, { validForMs: 0 }, /another form/],
])('QX21 a zone gets no token for %s', async (_title, spec, change, reason) => {
  const ask = await scene(spec)
  expect(await ask({ ...request, ...change })).toEqual(err(expect.stringMatching(reason)))
})
