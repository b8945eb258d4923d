import { err, ok } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { createBootstrapCheck } from '../../src/door/bootstrap-check.ts'
import { bootstrapRequestSchema } from '../../src/xds/bootstrap-request.ts'
import { createScene, dataplaneOf } from './scene.ts'

/** Asks for a bootstrap in zone east, which has one stored Dataplane. */
async function scene(reason?: string, isComplete = true) {
  const { store, registrations } = await createScene()
  const asked: unknown[] = []
  const check = createBootstrapCheck({
    ...{ store, zone: 'east', registrations, isComplete: () => isComplete },
    async authenticate(token, proxy, brought) {
      asked.push([token, proxy, brought?.networking?.address])
      return reason === undefined ? ok({ covers: () => ok(undefined) }) : err(reason)
    },
  })
  const write = (kind: string, mesh: string, name: string, spec: object, origin = 'east') =>
    store.commit({
      changes: [{ op: 'put', key: { origin, kind, mesh, name }, labels: {}, spec: { ...spec }, ...stampOf(origin) }],
      ...{ subject: 'test', intent: 'test' },
    })
  const { type: _type, mesh: _mesh, name: _name, ...spec } = dataplaneOf('web')
  await write('Dataplane', 'default', 'web', { ...spec, networking: { ...spec.networking, admin: { port: 9000 } } })
  return {
    asked,
    write,
    check: (request: object) =>
      check(bootstrapRequestSchema.parse({ mesh: 'default', name: 'web', dataplaneToken: 't', ...request })),
  }
}
const stampOf = (origin: string) =>
  origin === 'east' ? {} : { stamp: { incarnation: 1, originRevision: 1, createdAtMs: 0, modifiedAtMs: 0 } }

test('P27 a proxy that exists gets the service, address, role and admin port of its Dataplane', async () => {
  const { check, write, asked } = await scene()
  expect(await check({})).toEqual(ok({ service: 'web', isBuiltinGateway: false, address: '10.0.0.1', adminPort: 9000 }))
  expect(asked).toEqual([['t', { type: 'dataplane', mesh: 'default', name: 'web' }, undefined]])
  const tags = { 'kuma.io/service': 'edge' }
  await write('Dataplane', 'default', 'edge', {
    networking: { address: '10.0.0.2', gateway: { type: 'BUILTIN', tags } },
  })
  expect(await check({ name: 'edge' })).toEqual(ok({ service: 'edge', isBuiltinGateway: true, address: '10.0.0.2' }))
  await write('ZoneEgress', '', 'e', { networking: { address: '10.0.0.1', port: 10_002 } })
  expect(await check({ proxyType: 'egress', mesh: '', name: 'e' })).toEqual(ok({ isBuiltinGateway: false }))
})

test('P27 a proxy that brings its resource gets the facts of this resource, and its token is checked for it', async () => {
  const { check, asked } = await scene()
  const text = JSON.stringify(dataplaneOf('new', 'api'))
  expect(await check({ dataplaneResource: text, name: 'other' })).toEqual(
    ok({ service: 'api', isBuiltinGateway: false, address: '10.0.0.1' }),
  )
  expect(asked).toEqual([['t', { type: 'dataplane', mesh: 'default', name: 'new' }, '10.0.0.1']])
  const egress = { type: 'ZoneEgress', name: 'e', networking: { address: '10.0.0.1', port: 10_002 } }
  expect(await check({ proxyType: 'egress', mesh: '', dataplaneResource: JSON.stringify(egress) })).toEqual(
    ok({ isBuiltinGateway: false }),
  )
})

test.each<[string, object, number, string | RegExp]>([
  ['an unknown type', { proxyType: 'sidecar' }, 422, 'proxy type "sidecar" is not served'],
  ['an absent mesh', { mesh: 'none' }, 422, 'mesh "none" does not exist'],
  ['no token', { dataplaneToken: ' ' }, 422, /^A token is required/],
  ['an absent proxy', { name: 'none' }, 404, ''],
  ['an absent zone proxy', { proxyType: 'ingress', mesh: 'none' }, 404, ''],
  ['a resource that is no JSON', { dataplaneResource: '{' }, 422, /^the resource is not JSON: /],
  ['a resource of another kind', { dataplaneResource: '{"type":"Mesh","name":"m"}' }, 422, /found a Mesh$/],
])('P27 a bootstrap is refused: %s', async (_title, request, status, text) => {
  const { check } = await scene()
  const answer = await check(request)
  expect(answer.ok ? undefined : answer.error.status).toBe(status)
  expect(answer.ok ? undefined : answer.error.text).toMatch(text)
  if (text === '') expect(answer).toEqual(err({ status, text }))
})

test('P27 a mesh of the global counts, and a stored row that cannot be parsed is named', async () => {
  const { check, write } = await scene()
  await write('Mesh', '', 'shop', {}, 'global')
  expect(await check({ mesh: 'shop' })).toEqual(err({ status: 404, text: '' }))
  await write('Mesh', '', 'foreign', {}, 'west')
  expect(await check({ mesh: 'foreign' })).toMatchObject({ error: { text: 'mesh "foreign" does not exist' } })
  await write('Dataplane', 'default', 'broken', { networking: 5 })
  expect(await check({ name: 'broken' })).toMatchObject({
    error: { status: 422, text: expect.stringMatching(/^the stored Dataplane cannot be parsed: networking/) },
  })
})

test('P20 a refused token returns 422, or 503 while its key is unknown, before the proxy is looked up', async () => {
  const unknown = 'there is no dataplane token signing key with serial 1'
  for (const [reason, status] of [
    ['the token was revoked', 422],
    [unknown, 503],
  ] as const) {
    const { check } = await scene(reason)
    for (const name of ['web', 'none']) expect(await check({ name })).toEqual(err({ status, text: reason }))
    const dataplaneResource = JSON.stringify(dataplaneOf('new'))
    expect(await check({ dataplaneResource })).toEqual(err({ status, text: reason }))
  }
})

test('P31 an absent mesh returns 503 before the zone has anything of its global, because the mesh may still come', async () => {
  const { check } = await scene(undefined, false)
  const text = 'this zone has nothing of its global yet, and no mesh "none"'
  expect(await check({ mesh: 'none' })).toEqual(err({ status: 503, text }))
  const { check: later } = await scene()
  expect(await later({ mesh: 'none' })).toEqual(err({ status: 422, text: 'mesh "none" does not exist' }))
})
