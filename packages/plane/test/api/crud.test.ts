import { positionText } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { createRoutes, dataplane, timeout, write } from './routes.ts'

const path = '/meshes/default/timeouts/t'
const permission = (more: object = {}) => ({
  type: 'MeshTrafficPermission',
  name: 'p',
  spec: { targetRef: { kind: 'Mesh' }, from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
  ...more,
})
const retry = {
  ...{ type: 'Retry', mesh: 'default', name: 't' },
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { http: { numRetries: 1 } },
}

test('R4 the ETag of an item is the revision of its newest version', async () => {
  const { call } = await createRoutes()
  const first = await call('PUT', path, timeout('t', '1s'))
  await call('PUT', '/meshes/default/timeouts/other', timeout('other'))
  expect((await call('GET', path)).headers['ETag']).toBe(`"${first.headers['Zonemesh-Revision']}"`)
  expect(first.headers['ETag']).toBe(`"${first.headers['Zonemesh-Revision']}"`)
  const second = await call('PUT', path, timeout('t', '2s'))
  expect((await call('GET', path)).headers['ETag']).toBe(second.headers['ETag'])
})

test('R4 PUT and DELETE are commits of the caller with the resource in their intent', async () => {
  const { plane, call } = await createRoutes()
  const user = { name: 'ada', groups: ['mesh-system:admin'] }
  const put = await call('PUT', path, timeout('t'), { user })
  expect([put.status, put.json]).toEqual([201, {}])
  const deleted = await call('DELETE', path, undefined, { user })
  expect([deleted.status, deleted.json]).toEqual([200, {}])
  expect(deleted.headers['Zonemesh-Revision']).toBe(positionText(await plane.store.head()))
  const records = await plane.store.records({ after: 1, limit: 10 })
  expect(records.map(({ subject, intent }) => [subject, intent])).toEqual([
    ['ada', 'PUT Timeout t'],
    ['ada', 'DELETE Timeout t'],
  ])
})

test('R5 PUT with If-Match writes only over the named version', async () => {
  const { call } = await createRoutes()
  const first = await call('PUT', path, timeout('t', '1s'))
  const put = (connect: string) =>
    call('PUT', path, timeout('t', connect), { headers: { 'if-match': String(first.headers['ETag']) } })
  expect((await put('2s')).status).toBe(200)
  expect((await put('3s')).status).toBe(412)
  expect((await call('GET', path)).json.conf.connectTimeout).toBe('2s')
})

test('R5 DELETE with If-Match deletes only the named version, and a mesh together with its rows', async () => {
  const { call } = await createRoutes()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  const tag = String((await call('GET', '/meshes/m')).headers['ETag'])
  await call('PUT', '/meshes/m/timeouts/t', timeout('t', '1s', 'm'))
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm', labels: { team: 'a' } })
  const remove = (header: string) => call('DELETE', '/meshes/m', undefined, { headers: { 'if-match': header } })
  expect((await remove(tag)).status).toBe(412)
  expect((await call('GET', '/meshes/m/timeouts/t')).status).toBe(200)
  // The tag is that of the mesh; its rows have other revisions.
  expect((await remove(String((await call('GET', '/meshes/m')).headers['ETag']))).status).toBe(200)
  expect((await call('GET', '/meshes/m')).status).toBe(404)
})

const noMesh = 'there is no mesh "nowhere": create it with a document of type Mesh'

test.each<[string, string, unknown, string[] | string]>([
  ['no body', path, undefined, 'the body is empty'],
  ['null', path, null, 'the body is not a JSON object'],
  ['a list', path, [], 'the body is not a JSON object'],
  ['a text', path, 'text', 'the body is not a JSON object'],
  ['another type', path, { ...timeout('t'), type: 'Retry' }, ['type']],
  ['another name', path, timeout('u'), ['name']],
  ['another mesh', path, timeout('t', '1s', 'other'), ['mesh']],
  ['nothing', path, {}, ['type', 'name', 'mesh']],
  [
    'another mesh of a nested kind',
    '/meshes/default/meshtrafficpermissions/p',
    permission({ mesh: 'other' }),
    ['mesh'],
  ],
  ['a mesh that does not exist', '/meshes/nowhere/timeouts/t', timeout('t', '1s', 'nowhere'), noMesh],
])('R6 PUT is refused: %s', async (_title, url, body, expected) => {
  const { call } = await createRoutes()
  const { status, json } = await call('PUT', url, body)
  expect(status).toBe(expected === noMesh ? 404 : 400)
  const fields = (json.invalid_parameters ?? []).map(({ field }: { field: string }) => field)
  expect(typeof expected === 'string' ? json.detail : fields).toEqual(expected)
})

test('R6 the body of a nested kind may omit the mesh, and a kind of global scope has none', async () => {
  const { call, plane } = await createRoutes()
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  expect((await call('PUT', '/meshes/m/meshtrafficpermissions/p', permission())).status).toBe(201)
  expect((await plane.store.scan({ kind: 'MeshTrafficPermission' }))[0]?.key.mesh).toBe('m')
  expect((await call('PUT', '/zones/z', { type: 'Zone', name: 'z', enabled: true })).status).toBe(201)
})

test('R4 PUT returns warnings, if there are any', async () => {
  const { call } = await createRoutes()
  const { status, json } = await call('PUT', '/meshes/1st', { type: 'Mesh', name: '1st' })
  expect([status, json]).toEqual([201, { warnings: [expect.stringContaining('is not a DNS label')] }])
})

test('R3 an item is served in the universal format only, and not from a mesh that does not exist', async () => {
  const { call } = await createRoutes()
  await call('PUT', path, timeout('t'))
  expect((await call('GET', `${path}?format=universal`)).status).toBe(200)
  expect(await call('GET', `${path}?format=k8s`)).toMatchObject({
    status: 400,
    json: { detail: 'bad request: format "k8s" is not served, only universal' },
  })
  expect((await call('GET', '/meshes/nowhere/timeouts/t')).json.title).toBe('Failed to retrieve Mesh')
  expect((await call('GET', '/meshes/default/timeouts/u')).json.title).toBe('Could not retrieve a resource')
})

test('R3 every kind has a list in all meshes or of its own, and an item', async () => {
  const { call } = await createRoutes()
  await call('PUT', path, timeout('t'))
  await call('PUT', '/meshes/default/retries/t', retry)
  for (const one of ['/timeouts', '/meshes/default/timeouts', '/retries', '/meshes'])
    expect([one, (await call('GET', one)).json.total]).toEqual([one, 1])
  expect((await call('GET', path)).json).toEqual({
    ...timeout('t'),
    creationTime: '2026-01-01T00:00:00.000Z',
    modificationTime: '2026-01-01T00:00:00.000Z',
    labels: { 'kuma.io/mesh': 'default' },
  })
})

test.each<[string, object, string]>([
  ['an unknown type', { type: 'Nothing', name: 't' }, 'unknown type "Nothing"'],
  ['an internal type', { type: 'TokenKey', name: 't' }, 'unknown type "TokenKey"'],
  ['a mesh that does not exist', { type: 'Timeout', mesh: 'nowhere', name: 't' }, noMesh],
  ['a written resource', { type: 'Timeout', name: 't' }, 'one commit both writes and deletes the same resource'],
  ['a mesh with a written resource', { type: 'Mesh', name: 'm' }, 'the same commit writes Timeout "in" into this mesh'],
])('R21 a deletion of a commit is refused: %s', async (_title, deletion, detail) => {
  const { plane, call } = await createRoutes()
  const key = (kind: string, mesh: string, name: string) => ({ origin: 'global', kind, mesh, name })
  await write(plane, [key('Mesh', '', 'm'), key('Timeout', 'default', 't'), key('Timeout', 'm', 't')])
  const documents = [timeout('t'), timeout('in', '1s', 'm')]
  const { json } = await call('POST', '/_commit', { documents, deletions: [deletion] })
  expect(json.outcomes[2]).toMatchObject({ outcome: 'refused', detail })
})

test('R21 a commit deletes resources beside written ones of another kind, mesh or name, and ignores the mesh of a kind of global scope', async () => {
  const { plane, call } = await createRoutes()
  const key = (kind: string, mesh: string, name: string) => ({ origin: 'global', kind, mesh, name })
  await write(plane, [
    ...[key('Mesh', '', 'm'), key('Timeout', 'm', 't'), key('Retry', 'default', 't'), key('Timeout', 'default', 'u')],
    { ...key('Zone', '', 'z'), spec: { enabled: false } },
  ])
  const deletions = [
    { type: 'Timeout', mesh: 'm', name: 't' },
    { type: 'Retry', name: 't' },
    { type: 'Timeout', name: 'u' },
    { type: 'Zone', mesh: 'default', name: 'z' },
  ]
  const { json } = await call('POST', '/_commit', { documents: [timeout('t')], deletions })
  expect(json.outcomes.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
    'created',
    ...Array(4).fill('deleted'),
  ])
})

test('R21 a resource may be deleted together with its mesh', async () => {
  const { call, plane } = await createRoutes()
  await call('POST', '/_commit', { documents: [{ type: 'Mesh', name: 'm' }, timeout('t', '1s', 'm')] })
  const deletions = [
    { type: 'Mesh', name: 'm' },
    { type: 'Timeout', mesh: 'm', name: 't' },
  ]
  expect((await call('POST', '/_commit', { documents: [], deletions })).status).toBe(200)
  expect((await plane.store.records({ after: 0, limit: 10 })).at(-1)?.rows).toBe(2)
})

test('R10 secrets are read by administrators only', async () => {
  const { call } = await createRoutes()
  const as = { user: { name: 'ada', groups: [] } }
  for (const one of ['/secrets', '/meshes/default/secrets/s']) {
    expect((await call('GET', one, undefined, as)).status).toBe(403)
    expect((await call('GET', one)).status).not.toBe(403)
  }
})

test('R10 a caller that is no administrator deletes nothing', async () => {
  const { call } = await createRoutes()
  await call('PUT', path, timeout('t'))
  const answer = await call('DELETE', path, undefined, { user: { name: 'ada', groups: [] } })
  expect([answer.status, answer.json.detail]).toEqual([403, 'user "ada/" cannot delete the resource of type "Timeout"'])
})

test('R28 a Dataplane of a zone is refused at its addresses and ports, before it is written', async () => {
  const { call } = await createRoutes({ role: 'zone', origin: 'east' })
  const put = (networking: object) => call('PUT', '/meshes/default/dataplanes/d', dataplane('d', networking))
  expect((await put({ address: '127.0.0.1' })).json.invalid_parameters).toMatchObject([{ field: 'networking.address' }])
  expect((await put({})).status).toBe(201)
})
