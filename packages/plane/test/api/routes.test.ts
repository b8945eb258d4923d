import { hostname } from 'node:os'
import { hashedName } from '@zonemesh/plane/api/names.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { positionKey } from '@zonemesh/shared/sync/log/rounds.ts'
import { expect, test } from 'vitest'
import { createPlane, createRoutes, write } from './routes.ts'

const user = { name: 'ada', groups: ['team'] }
const key = (kind: string, mesh: string, name: string, origin = 'global') => ({ origin, kind, mesh, name })
const east = { role: 'zone', origin: 'east' } as const

test('R1 GET / describes the plane, and the other routes of the plane return what it knows', async () => {
  const status = { zones: [] }
  const { plane, call } = await createRoutes({ status: async () => status })
  expect(await call('GET', '/')).toMatchObject({
    status: 200,
    json: {
      ...{ hostname: hostname(), product: 'Zonemesh', version: `${version}-preview`, gui: '' },
      ...{ instanceId: 'one', clusterId: plane.store.id, mode: 'global' },
    },
  })
  for (const [path, json] of [
    ['/who-am-i', user],
    ['/config', plane.config],
    ['/_status', status],
    ['/_join', plane.join],
  ] as const)
    expect(await call('GET', path, undefined, { user })).toMatchObject({ status: 200, json })
})

test.each<[ApiPlane['role'], Record<string, boolean>]>([
  ['global', { Dataplane: true, Mesh: false, MeshTrafficPermission: false }],
  ['zone', { Dataplane: false, Mesh: true, MeshTrafficPermission: true }],
])(
  'R32 the kinds are listed by name, with their scope, and read-only where a plane does not write them: %s',
  async (role, expected) => {
    const { call } = await createRoutes({ role })
    const { status, json } = await call('GET', '/_resources')
    expect(status).toBe(200)
    const names: string[] = json.resources.map(({ name }: JsonObject) => name)
    expect(names).toEqual([...names].sort())
    expect(names).not.toContain('TokenKey')
    const shown = (name: string) => json.resources.find((one: JsonObject) => one['name'] === name)
    for (const [name, readOnly] of Object.entries(expected)) expect(shown(name)).toMatchObject({ name, readOnly })
    expect(shown('Mesh')).toMatchObject({ scope: 'Global', path: 'meshes', includeInFederation: true })
    expect(shown('Mesh')).not.toHaveProperty('policy')
    expect(shown('Dataplane')).toMatchObject({ scope: 'Mesh', includeInFederation: false })
    const rules = { hasRulesTargetRef: false, hasToTargetRef: false, isFromAsRules: false }
    expect(shown('Timeout').policy).toEqual({ ...rules, hasFromTargetRef: false, isTargetRef: false })
    expect(shown('MeshTrafficPermission').policy).toEqual({ ...rules, hasFromTargetRef: true, isTargetRef: true })
  },
)

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

test('R44 a token has the claims of its request and ten years of validity if the request has no time', async () => {
  const { call } = await createRoutes()
  const issued = async (path: string, body: object) => {
    const { status, json } = await call('POST', `/tokens/${path}`, body)
    expect(status).toBe(200)
    const { iat, exp, nbf, jti, ...claims } = claimsOf(json)
    return [claims, exp - iat]
  }
  const [hour, tenYears] = [3600, 87600 * 3600]
  expect(await issued('user', { name: 'ada', groups: ['a'], validFor: '1h' })).toEqual([
    ...[{ Name: 'ada', Groups: ['a'] }, hour],
  ])
  expect(await issued('user', { name: 'ada', validFor: '1h' })).toEqual([{ Name: 'ada', Groups: [] }, hour])
  expect(await issued('zone', { zone: 'east', scope: ['cp'] })).toEqual([{ Zone: 'east', Scope: ['cp'] }, tenYears])
  expect(await issued('user', { name: 'ada', validFor: '30d' })).toEqual([{ Name: 'ada', Groups: [] }, 720 * hour])
  const limits = { meshes: ['m'], services: ['s*'] }
  expect(await issued('zone', { scope: [], limits, validFor: '1h' })).toEqual([
    ...[{ Zone: '', Scope: [], Limits: limits }, hour],
  ])
  expect(await issued('dataplane', { mesh: 'default' })).toEqual([
    ...[{ Name: '', Mesh: 'default', Tags: {}, Type: '', Workload: '' }, tenYears],
  ])
  const tags = { 'kuma.io/service': ['web'] }
  expect(
    await issued('dataplane', { name: 'd', mesh: 'm', tags, type: 'ingress', workload: 'w', validFor: '1h' }),
  ).toEqual([{ Name: 'd', Mesh: 'm', Tags: tags, Type: 'ingress', Workload: 'w' }, hour])
})

test('R44 a request for a token is refused with its fields, without a signing key, and for other callers', async () => {
  const { call } = await createRoutes()
  const fields = async (path: string, body: unknown) => {
    const { status, json } = await call('POST', `/tokens/${path}`, body)
    expect([status, json.title]).toEqual([400, 'Could not issue a token'])
    return json.invalid_parameters.map(({ field }: JsonObject) => field)
  }
  expect(await fields('user', { name: '' })).toEqual(['name', 'validFor'])
  expect(await fields('user', { name: 'a', validFor: '' })).toEqual(['validFor'])
  expect(await fields('zone', { zone: 'a' })).toEqual(['scope'])
  expect(await fields('zone', { scope: ['all'], limits: { mesh: [] } })).toEqual(['scope.0', 'limits'])
  expect(await fields('dataplane', {})).toEqual(['mesh'])
  for (const validFor of ['0s', 'soon', '300y'])
    expect(await fields('user', { name: 'a', validFor })).toEqual(['validFor'])
  const { tokens } = await createPlane()
  const without = await createRoutes({ tokens: { ...tokens, issue: async () => undefined } })
  expect((await without.call('POST', '/tokens/user', { name: 'a', validFor: '1h' })).json).toMatchObject({
    ...{ status: 400, title: 'Could not issue a token' },
    detail: expect.stringMatching(/^this control plane has no user token signing key.*https:\/\/global:5682/),
  })
  for (const path of ['user', 'zone', 'dataplane'])
    expect((await call('POST', `/tokens/${path}`, {}, { user })).json.detail).toMatch(`cannot generate ${path} token`)
})

test('R19 an overview has the spec and the insight of a resource, and an insight alone has only the insight', async () => {
  const insights: Record<string, JsonObject> = { web: { subscriptions: [] } }
  const { plane, call } = await createRoutes({ insight: (_kind, row) => insights[row.key.name] })
  await write(plane, [
    { ...key('Dataplane', 'default', 'web'), spec: { networking: { address: '10.0.0.1' } } },
    { ...key('Dataplane', 'default', 'idle'), spec: { networking: { address: '10.0.0.2' } } },
    { ...key('Dataplane', 'default', 'broken'), spec: { networking: 5 } },
  ])
  const at = '/meshes/default/dataplanes'
  const insight = { dataplaneInsight: insights['web'] }
  const networking = { networking: { address: '10.0.0.1' } }
  for (const path of [`${at}/web/_overview`, `${at}+insights/web`])
    expect(await call('GET', path)).toMatchObject({
      ...{ status: 200, json: { type: 'DataplaneOverview', mesh: 'default', name: 'web', ...insight } },
    })
  const shown = async (name: string) => (await call('GET', `${at}/${name}/_overview`)).json
  expect((await shown('web')).dataplane).toEqual(networking)
  expect(await shown('idle')).not.toHaveProperty('dataplaneInsight')
  expect(await shown('broken')).toMatchObject({ dataplane: {}, unparsed: [{ field: 'networking' }] })
  const alone = async (name: string) => (await call('GET', `/meshes/default/dataplane-insights/${name}`)).json
  expect(await alone('web')).toMatchObject({ type: 'DataplaneInsight', name: 'web', subscriptions: [] })
  expect(await alone('idle')).not.toHaveProperty('subscriptions')
  expect((await call('GET', '/dataplanes/_overview')).json.total).toBe(3)
  expect((await call('GET', '/dataplane-insights')).json.total).toBe(3)
})

test('R3 an overview of an absent resource or in an absent mesh returns 404 with its title', async () => {
  const { call } = await createRoutes()
  const titleOf = async (path: string) => (await call('GET', path)).json.title
  expect(await titleOf('/meshes/default/dataplanes/web/_overview')).toBe('Could not retrieve a resource')
  expect(await titleOf('/meshes/nowhere/dataplanes/web/_overview')).toBe('Failed to retrieve Mesh')
  expect(await titleOf('/zones/east/_overview')).toBe('Could not retrieve a resource')
})

test('R45 a zone serves the rows of the global in pages of 500 of one revision, with its position', async () => {
  const { plane, call } = await createRoutes(east)
  const names = Array.from({ length: 500 }, (_, index) => `t${String(index).padStart(3, '0')}`)
  await write(
    plane,
    names.map((name) => key('Timeout', 'default', name)),
  )
  await write(plane, [
    key('TokenKey', '', 'k'),
    key('SyncEpoch', '', 'not-for-zones'),
    key('Timeout', 'default', 'own', 'east'),
    { ...positionKey('east', 'global'), spec: { store: 'g', revision: 7, commitId: 'c7' } },
    { ...positionKey('east', 'other'), spec: { store: 'o', revision: 8, commitId: 'c8' } },
  ])
  const { revision } = await plane.store.mark()
  const first = await call('GET', '/_rows')
  expect(first).toMatchObject({
    ...{ status: 200, json: { zone: 'east', at: revision, position: { store: 'g', revision: 7, commitId: 'c7' } } },
  })
  expect(first.json.rows).toHaveLength(500 - 1)
  await write(plane, [key('Timeout', 'default', 'z-later')])
  const rest = await call('GET', `/_rows?at=${revision}&after=${encodeURIComponent(first.json.after)}`)
  const rows = [...first.json.rows, ...rest.json.rows].map((row) => keyText(row.key))
  const expected = [key('Mesh', '', 'default'), ...names.map((name) => key('Timeout', 'default', name))]
  expect(rows).toEqual([...expected, key('TokenKey', '', 'k')].map(keyText))
  expect(rest.json).not.toHaveProperty('after')
})

test('R45 only a zone that has joined a global serves the rows of the global, and only to administrators', async () => {
  const { call } = await createRoutes(east)
  expect((await call('GET', '/_rows')).json.position).toBeNull()
  expect((await call('GET', '/_rows?at=1')).json.rows).toHaveLength(1)
  expect((await call('GET', '/_rows?at=x')).json).toMatchObject({
    ...{ status: 400, detail: 'at: expected a revision, found "x"' },
  })
  expect((await call('GET', '/_rows', undefined, { user })).status).toBe(403)
  for (const role of ['global', 'standalone'] as const)
    expect((await (await createRoutes({ role })).call('GET', '/_rows')).status).toBe(400)
})

test('R46 a sight contains the explained rows without sealed content, and what proxies have accepted', async () => {
  const { plane, call } = await createRoutes({ ...east, proxySights: async () => ({ web: {} }) })
  await write(plane, [
    { ...key('AuthorityKey', 'default', 'a', 'east'), spec: { sealed: 'hush', of: 1 } },
    { ...key('GatewayCertificate', 'default', 'a', 'east'), spec: { sealed: 'hush', of: 1 } },
    { ...key('Timeout', 'default', 'a'), spec: { conf: {} }, labels: { team: 'red' } },
    key('TokenKey', '', 'k'),
  ])
  const { status, json } = await call('GET', '/_sight')
  expect(status).toBe(200)
  expect(json).toMatchObject({ name: 'east', role: 'zone', revision: 2, proxies: { web: {} } })
  const shown = (kind: string) => json.rows.find((row: { key: { kind: string } }) => row.key.kind === kind)
  expect(shown('Timeout')).toMatchObject({ spec: { conf: {} }, labels: { team: 'red' }, stamp: { incarnation: 1 } })
  expect(shown('TokenKey')).toBeUndefined()
  expect(JSON.stringify(json)).not.toContain('hush')
  expect((await call('GET', '/_sight', undefined, { user })).status).toBe(403)
  expect((await (await createRoutes()).call('GET', '/_sight')).json.proxies).toEqual({})
})

test('R41 the name of a row of another plane ends with a hash of its mesh, name and zone', () => {
  const hash = (mesh: string, name: string, zones: string[]) => hashedName(mesh, name, zones)
  expect(hash('default', 'web', ['east'])).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{16}$/)
  const names = [hash('default', 'web', ['east']), hash('default', 'web', []), hash('m', 'web', ['east'])]
  expect(new Set(names).size).toBe(3)
  expect(hash('default', 'x'.repeat(236), [])).toHaveLength(236 + 17)
  expect(hash('default', 'x'.repeat(237), [])).toHaveLength(236 + 17)
})
