import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import { expect, test } from 'vitest'
import { write } from './routes.ts'
import { remote, serve } from './serve.ts'

/** A global with a Dataplane and an ingress of zone east, which answers with this. */
async function scene(answer: JsonObject | QueryFailure) {
  const asked: unknown[] = []
  const api = await serve({
    askZone: async (zone, name, request) => {
      asked.push([zone, name, request])
      // A failure has a code.
      return 'code' in answer ? err(answer as QueryFailure) : ok(answer as JsonObject)
    },
  })
  await write(api.plane, [
    { origin: 'east', kind: 'Dataplane', mesh: 'default', name: 'web', spec: { networking: { address: '10.0.0.1' } } },
    { origin: 'east', kind: 'ZoneIngress', mesh: '', name: 'ingress', spec: {} },
    { origin: 'global', kind: 'Zone', mesh: '', name: 'east', spec: {} },
  ])
  return { api, asked, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() }
}

const options = { includeEds: false, json: false, all: false }
const web = { type: 'dataplane', mesh: 'default', name: 'web' }

test("QX22 Kuma's routes of a proxy ask its zone, with their options", async () => {
  await using opened = await scene({ text: '{"a":1}' })
  const call = async (path: string) => (await opened.api.call('GET', path)).text
  expect(await call('/meshes/default/dataplanes/web/stats')).toBe('{"a":1}')
  expect(await call('/meshes/default/dataplanes/web/stats?format=json&usedonly=false')).toBe('{\n "a": 1\n}\n')
  expect(await call('/meshes/default/dataplanes/web/xds?include_eds=true')).toBe('{\n "a": 1\n}\n')
  expect(await call('/zoneingresses/ingress/clusters')).toBe('{"a":1}')
  expect(opened.asked).toEqual([
    ['east', 'proxy', { ...web, view: 'stats', ...options }],
    ['east', 'proxy', { ...web, view: 'stats', ...options, json: true, all: true }],
    ['east', 'proxy', { ...web, view: 'xds', ...options, includeEds: true }],
    ['east', 'proxy', { type: 'ingress', mesh: '', name: 'ingress', view: 'clusters', ...options }],
  ])
})

test('QX22 the compiled configuration is the answer of the zone', async () => {
  await using opened = await scene({ xds: {}, differences: [] })
  expect((await opened.api.call('GET', '/meshes/default/dataplanes/web/_config')).json).toEqual({
    xds: {},
    differences: [],
  })
  expect(opened.asked).toEqual([['east', 'proxy', { ...web, view: 'config' }]])
})

test.each<[QueryFailure['code'], number]>([
  ['unknown', 501],
  ['unsupported', 501],
  ['refused', 400],
  ['busy', 503],
  ['ended', 503],
  ['late', 504],
  ['too-large', 502],
  ['failed', 502],
])('QX22 the reason why a zone gives no answer is the error: %s', async (code, status) => {
  await using opened = await scene({ code, reason: 'the reason' })
  for (const path of ['/meshes/default/dataplanes/web/xds', '/zones/east/_sight'])
    expect(await opened.api.call('GET', path)).toMatchObject({
      status,
      json: { detail: 'zone "east" gave no answer: the reason' },
    })
})

test('QX22 a proxy, mesh or zone that does not exist is not asked', async () => {
  await using opened = await scene({ text: '' })
  for (const path of [
    '/meshes/default/dataplanes/other/stats',
    '/meshes/other/dataplanes/web/stats',
    '/zoneegresses/egress/stats',
    '/zones/west/_sight',
  ])
    expect((await opened.api.call('GET', path)).status).toBe(404)
  expect(opened.asked).toEqual([])
})

test('QX23 the rows of a zone are for administrators only', async () => {
  await using opened = await scene({ rows: [] })
  expect((await opened.api.call('GET', '/zones/east/_sight', undefined, remote)).status).toBe(403)
  expect((await opened.api.call('GET', '/zones/east/_sight')).json).toEqual({ rows: [] })
})
