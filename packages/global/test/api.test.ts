import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPair } from '../../plane/test/pki.ts'
import { type RunningGlobal, startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'

let global: RunningGlobal
let base: string

beforeAll(async () => {
  const read = readOptions(
    globalOptions,
    ['--host', '127.0.0.1', '--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0'],
    {},
  )
  if (!read.ok) throw new Error(read.error.message)
  global = await startGlobal(
    { clock: systemClock, random: systemRandom, log: silentLog },
    read.value.values,
    globalOptions,
  )
  base = `http://127.0.0.1:${global.apiPort}`
})
afterAll(() => global.close())

/** A caller that is not the admin of localhost, because it sends a proxy header. */
const remote = { 'x-forwarded-for': '203.0.113.9' }

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(base + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    text,
    json: /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined,
    headers: response.headers,
  }
}

const gateway = (name: string) => ({
  type: 'MeshGateway',
  mesh: 'default',
  name,
  selectors: [{ match: { 'kuma.io/service': name } }],
  conf: { listeners: [{ port: 8080, protocol: 'HTTP' }] },
})

test('R1 GET / returns product, version and store without authentication', async () => {
  const answer = await call('GET', '/', undefined, { authorization: 'Bearer nonsense' })
  expect(answer.status).toBe(200)
  expect(answer.json).toMatchObject({
    product: 'Zonemesh',
    clusterId: expect.any(String),
    version: expect.stringContaining('preview'),
  })
})

test('R2 an unknown path returns 404 and a wrong method on a known path returns 405, both as text', async () => {
  expect(await call('GET', '/nope')).toMatchObject({ status: 404, text: '404: Page Not Found' })
  expect(await call('POST', '/meshes', {})).toMatchObject({ status: 405, text: '405: Method Not Allowed' })
})

test('R3 an absent item returns the error object with the title of its route', async () => {
  const answer = await call('GET', '/meshes/nope')
  expect(answer.status).toBe(404)
  expect(answer.json).toEqual({
    type: '/std-errors',
    status: 404,
    title: 'Could not retrieve a resource',
    detail: 'Not found',
    details: 'Not found',
  })
  expect((await call('GET', '/meshes/nope/meshgateways')).json).toMatchObject({
    status: 404,
    title: 'Failed to retrieve Mesh',
  })
})

test('R4 PUT returns 201 first and 200 later, with the revision, and DELETE returns 200 first and 404 later', async () => {
  const path = '/meshes/default/meshgateways/edge-a'
  const created = await call('PUT', path, gateway('edge-a'))
  expect([created.status, created.json]).toEqual([201, {}])
  expect(created.headers.get('zonemesh-revision')).toMatch(/^[0-9a-f-]{36}@\d+\.[0-9a-f]{16}$/)
  expect((await call('PUT', path, gateway('edge-a'))).status).toBe(200)
  const item = await call('GET', path)
  expect(item.json).toMatchObject({
    type: 'MeshGateway',
    mesh: 'default',
    name: 'edge-a',
    kri: 'kri_mgw_default___edge-a_',
    labels: { 'kuma.io/mesh': 'default' },
  })
  expect((await call('DELETE', path)).status).toBe(200)
  expect((await call('DELETE', path)).status).toBe(404)
})

test('R5 a wrong If-Match returns 412 and changes nothing, and the right one is accepted', async () => {
  const path = '/meshes/default/meshgateways/edge-b'
  const first = await call('PUT', path, gateway('edge-b'))
  const tag = first.headers.get('etag') ?? ''
  expect((await call('PUT', path, { ...gateway('edge-b'), tags: { a: '1' } }, { 'if-match': tag })).status).toBe(200)
  expect((await call('PUT', path, { ...gateway('edge-b'), tags: { a: '2' } }, { 'if-match': tag })).status).toBe(412)
  expect((await call('GET', path)).json.tags).toEqual({ a: '1' })
})

test.each([
  ['no JSON', '{', 400, /not JSON/],
  ['another name than the URL', { ...gateway('other') }, 400, /Resource is not valid/],
  ['an unknown field', { ...gateway('edge-c'), selectorz: [] }, 400, /Resource is not valid/],
])('R6 PUT is refused: %s', async (_title, body, status, detail) => {
  const answer = await call('PUT', '/meshes/default/meshgateways/edge-c', body)
  expect(answer.status).toBe(status)
  expect(answer.json.detail).toMatch(detail)
  expect(answer.json.details).toBe(answer.json.detail)
})

test('R7 a body that is not declared as JSON returns 415, and a body of 10 MB returns 413', async () => {
  expect((await call('PUT', '/meshes/default/meshgateways/x', '{}', { 'content-type': 'text/plain' })).status).toBe(415)
  expect((await call('PUT', '/meshes/default/meshgateways/x', 'x'.repeat(10_000_000))).status).toBe(413)
})

test('R8 a write of a zone resource on the global is refused, with the address to write to', async () => {
  const answer = await call('PUT', '/meshes/default/dataplanes/dp', {
    type: 'Dataplane',
    mesh: 'default',
    name: 'dp',
    networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'a' } }] },
  })
  expect(answer).toMatchObject({
    status: 405,
    json: { detail: expect.stringContaining('write them to the API of their zone') },
  })
})

test('R9 lists have total, items sorted by key, and an absolute next', async () => {
  for (const name of ['list-a', 'list-b', 'list-c'])
    await call('PUT', `/meshes/default/meshgateways/${name}`, gateway(name))
  const page = await call('GET', '/meshes/default/meshgateways?size=2&name=list-')
  expect(page.json).toMatchObject({
    total: 3,
    items: [{ name: 'list-a' }, { name: 'list-b' }],
    next: `${base}/meshes/default/meshgateways?name=list-&offset=2&size=2`,
  })
  expect((await call('GET', page.json.next.slice(base.length))).json).toMatchObject({
    total: 3,
    items: [{ name: 'list-c' }],
    next: null,
  })
  const title = 'Could not retrieve resources'
  for (const [size, reason] of [
    ['0', 'must be greater than 0'],
    ['x', 'invalid format'],
    ['1001', 'invalid page size of 1001. Maximum page size is 1000'],
  ])
    expect((await call('GET', `/meshes?size=${size}`)).json).toMatchObject({
      ...{ status: 400, title, detail: 'Invalid page size' },
      invalid_parameters: [{ field: 'size', reason }],
    })
  const detail = 'invalid: invalid offset: x'
  expect((await call('GET', '/meshes?offset=x')).json).toMatchObject({ status: 400, title, detail })
})

test('R35 lists are filtered by labels, and other filters are refused with route and filter', async () => {
  for (const [name, team] of [
    ['one', 'a'],
    ['two', 'b'],
  ])
    await call('PUT', `/meshes/default/meshgateways/${name}`, { ...gateway(name ?? ''), labels: { team } })
  const path = '/meshes/default/meshgateways'
  const listed = async (query: string) =>
    (await call('GET', `${path}?${query}`)).json.items.map(({ name }: { name: string }) => name)
  expect(await listed('filter[labels.team]=a')).toEqual(['one'])
  expect(await listed('filter[labels.team]=a&filter[labels.team]=b')).toEqual(['two'])
  expect(await listed('filter[labels.team]=a&filter[labels.kuma.io/mesh]=other')).toEqual([])
  const refused = {
    'filter[name]': 'filters are only supported on labels',
    'filter[labels.team][in]': 'advanced filters are not supported',
  }
  for (const [filter, reason] of Object.entries(refused))
    for (const [at, route] of [
      [path, '/meshes/{mesh}/meshgateways'],
      ['/meshes/default/dataplanes/_overview', '/meshes/{mesh}/dataplanes/_overview'],
    ])
      expect((await call('GET', `${at}?${filter}=a`)).json).toMatchObject({
        ...{ status: 400, title: 'Could not retrieve resources', detail: 'Resource is not valid' },
        invalid_parameters: [{ field: `${route}.${filter}`, reason }],
      })
})

test('R32 a resource identifier has the short name of Kuma, and zone, namespace and name from the labels', async () => {
  const kriOf = async (path: string, document: object) => {
    expect((await call('PUT', path, document)).status).toBe(201)
    return (await call('GET', path)).json.kri
  }
  const permission = {
    type: 'MeshTrafficPermission',
    mesh: 'default',
    name: 'all',
    spec: { targetRef: { kind: 'Mesh' }, from: [] },
  }
  const target = { targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }
  expect(
    await kriOf('/meshes/default/meshtrafficpermissions/all', {
      ...permission,
      spec: { ...permission.spec, from: [target] },
    }),
  ).toBe('kri_mtp_default___all_')
  const labels = { 'k8s.kuma.io/namespace': 'shops' }
  expect(await kriOf('/meshes/default/meshgateways/in-space', { ...gateway('in-space'), labels })).toBe(
    'kri_mgw_default__shops_in-space_',
  )
  const { resources } = (await call('GET', '/_resources')).json
  const shown = (name: string) => resources.find((one: { name: string }) => one.name === name)
  expect(shown('MeshGateway')).toMatchObject({ shortName: 'mgw', pluralDisplayName: 'Mesh Gateways' })
  expect(shown('Retry')).toMatchObject({ shortName: '', pluralDisplayName: 'Retries' })
  for (const name of ['MeshGatewayRoute', 'Secret', 'GlobalSecret', 'Timeout', 'TrafficPermission'])
    expect([name, shown(name).shortName]).toEqual([name, ''])
})

test('R33 secrets get no labels, and a mesh or zone name that is not a DNS label gets a warning', async () => {
  const secret = { type: 'Secret', mesh: 'default', name: 's9', data: 'eA==' }
  await call('PUT', '/meshes/default/secrets/s9', secret)
  const found = (await call('GET', '/meshes/default/secrets/s9')).json
  expect([found.labels, found.kri]).toEqual([undefined, undefined])
  for (const [name, isDeprecated] of [
    ['fine-1', false],
    ['1st', true],
    ['a.b', true],
  ] as const) {
    const mesh = await call('PUT', `/meshes/${name}`, { type: 'Mesh', name })
    const zone = await call('PUT', `/zones/${name}`, { type: 'Zone', name, enabled: true })
    for (const { status, json } of [mesh, zone]) {
      expect(status).toBe(201)
      expect(JSON.stringify(json.warnings ?? '').includes(`"${name}" is not a DNS label`.replaceAll('"', '\\"'))).toBe(
        isDeprecated,
      )
    }
  }
  for (const name of ['fine-1', '1st', 'a.b']) {
    await call('DELETE', `/zones/${name}`)
    await call('DELETE', `/meshes/${name}`)
  }
})

test('R10 every caller reads everything but secrets, and only an administrator writes', async () => {
  expect((await call('GET', '/meshes', undefined, remote)).status).toBe(200)
  expect(await call('GET', '/global-secrets', undefined, remote)).toMatchObject({
    status: 403,
    json: { title: 'Access Denied' },
  })
  expect((await call('PUT', '/meshes/m2', { type: 'Mesh', name: 'm2' }, remote)).status).toBe(403)
  expect((await call('DELETE', '/meshes/default', undefined, remote)).status).toBe(403)
  expect((await call('POST', '/tokens/user', { name: 'a', validFor: '1h' }, remote)).status).toBe(403)
})

test.each([
  ['Forwarded', { forwarded: 'for=1.2.3.4' }],
  ['X-Real-IP', { 'x-real-ip': '1.2.3.4' }],
  ['a cross-site request', { 'sec-fetch-site': 'cross-site' }],
  ['a foreign Origin', { origin: 'https://evil.example' }],
])('R11 a caller from localhost is not an administrator with %s', async (_title, headers) => {
  expect((await call('GET', '/who-am-i', undefined, headers)).json.name).toBe('mesh-system:anonymous')
})

test('R12 a user token identifies its holder, and an invalid token returns 401 even where anonymous callers may read', async () => {
  const token = (await call('POST', '/tokens/user', { name: 'ada', groups: ['mesh-system:admin'], validFor: '1h' }))
    .text
  expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  const bearer = { ...remote, authorization: `Bearer ${token}` }
  expect((await call('GET', '/who-am-i', undefined, bearer)).json).toEqual({
    name: 'ada',
    groups: ['mesh-system:admin', 'mesh-system:authenticated'],
  })
  expect((await call('PUT', '/meshes/m3', { type: 'Mesh', name: 'm3' }, bearer)).status).toBe(201)
  expect(
    (await call('GET', '/meshes', undefined, { ...remote, authorization: `Bearer ${token.slice(0, -4)}AAAA` })).status,
  ).toBe(401)
})

test('R13 secrets are returned as they were written, and are sealed in the store', async () => {
  const data = Buffer.from('hush').toString('base64')
  expect(
    (await call('PUT', '/meshes/default/secrets/s1', { type: 'Secret', mesh: 'default', name: 's1', data })).status,
  ).toBe(201)
  expect((await call('GET', '/meshes/default/secrets/s1')).json.data).toBe(data)
})

test('R14 the valid documents of a call are written in one commit, and each document has its outcome', async () => {
  const answer = await call('POST', '/_commit', {
    documents: [
      { type: 'Mesh', name: 'both' },
      { ...gateway('in-both'), mesh: 'both' },
      { type: 'Mesh', name: 'BAD' },
    ],
  })
  expect(answer.status).toBe(207)
  expect(answer.json.outcomes.map((one: { outcome: string }) => one.outcome)).toEqual(['created', 'created', 'refused'])
  expect(answer.json.outcomes[2].violations[0].field).toBe('name')
  expect((await call('GET', '/meshes/both/meshgateways/in-both')).status).toBe(200)
})

test('R15 an atomic call with one invalid document writes nothing', async () => {
  const answer = await call('POST', '/_commit', {
    atomic: true,
    documents: [
      { type: 'Mesh', name: 'never' },
      { type: 'Mesh', name: 'BAD' },
    ],
  })
  expect(answer.status).toBe(400)
  expect(answer.json.outcomes.map((one: { outcome: string }) => one.outcome)).toEqual(['skipped', 'refused'])
  expect((await call('GET', '/meshes/never')).status).toBe(404)
})

test('R16 a receipt names each zone that is still pending', async () => {
  await call('PUT', '/zones/far', { type: 'Zone', name: 'far', enabled: true })
  const { json, headers } = await call('PUT', '/meshes/m4', { type: 'Mesh', name: 'm4' })
  expect(json).toEqual({})
  const receipt = await call(
    'GET',
    `/_receipts/${encodeURIComponent(headers.get('zonemesh-revision') ?? '')}?wait=stored@every&timeout=50ms`,
  )
  expect(receipt.json).toMatchObject({
    complete: false,
    zones: [{ zone: 'far', state: 'pending', reason: 'not connected' }],
  })
})

test('R17 a warning names fields that are stored but not served', async () => {
  const tls = { mode: 'TERMINATE', certificates: [{ file: '/certificate.pem' }] }
  const wide = { ...gateway('wide-edge'), conf: { listeners: [{ port: 9000, protocol: 'HTTPS', tls }] } }
  const answer = await call('PUT', '/meshes/default/meshgateways/wide-edge', wide)
  expect(answer.json.warnings).toEqual([
    expect.stringMatching(/^conf\.listeners\[0\]\.tls\.certificates\[0\]\.file: not served/),
  ])
  expect((await call('GET', '/_status')).json.unserved).toContainEqual(expect.objectContaining({ name: 'wide-edge' }))
})

test('R18 a mesh with builtin mutual TLS gets its root, and another backend may take over while mutual TLS is on', async () => {
  const mesh = (name: string) => ({
    type: 'Mesh',
    name: 'secure',
    mtls: { enabledBackend: name, backends: [{ name, type: 'builtin' }] },
  })
  expect((await call('PUT', '/meshes/secure', mesh('ca-1'))).status).toBe(201)
  expect((await call('PUT', '/meshes/secure', mesh('ca-2'))).status).toBe(200)
})

test('R18 a provided authority is checked with its secrets, and missing secrets are awaited with a warning', async () => {
  const mesh = (conf: object, more: object = {}) => ({
    type: 'Mesh',
    name: 'own',
    mtls: { enabledBackend: 'own', backends: [{ name: 'own', type: 'provided', conf }], ...more },
  })
  const reasons = async (conf: object, more: object = {}) => {
    const { status, json } = await call('PUT', '/meshes/own', mesh(conf, more))
    const list = (json.invalid_parameters ?? []) as { field: string; reason: string }[]
    return [status, ...list.map(({ field, reason }) => `${field}: ${reason}`), ...(json.warnings ?? [])]
  }
  const at = 'mtls.backends[0].conf'
  expect(await reasons({})).toEqual([400, `${at}.cert: has to be defined`, `${at}.key: has to be defined`])
  expect(await reasons({ cert: {}, key: { file: '/tmp/key' } })).toEqual([
    400,
    `${at}.cert: data source has to be chosen. Available sources: secret, inline, inlineString`,
    `${at}.key.file: files are not read; use a secret, or inline data`,
  ])
  const [one, two] = [await createPair({ authority: {} }), await createPair({ authority: {} })]
  const text = (pair: { certificate: string }, key: string) => ({
    cert: { inlineString: pair.certificate },
    key: { inlineString: key },
  })
  const wrong = `${at}.cert: not a valid TLS key pair: private key does not match public key`
  expect(await reasons(text(one, two.key))).toEqual([400, wrong])
  expect(await reasons(text(one, two.key), { skipValidation: true })).toEqual([201])
  const named = { cert: { inlineString: one.certificate }, key: { secret: 'ca' } }
  expect(await reasons(named)).toEqual([
    200,
    `${at}.key: there is no Secret "ca" in mesh "own" yet; the authority is used when the secret exists`,
  ])
  const put = (key: string) =>
    call('PUT', '/meshes/own/secrets/ca', { type: 'Secret', mesh: 'own', name: 'ca', data: btoa(key) })
  await put(two.key)
  expect(await reasons(named)).toEqual([400, wrong])
  await put(one.key)
  expect(await reasons(named)).toEqual([200])
})

test('R19 every kind with overviews and insights has them, in both spellings', async () => {
  await call('PUT', '/zones/near', { type: 'Zone', name: 'near', enabled: true })
  expect((await call('GET', '/zones/_overview')).json.items).toContainEqual(
    expect.objectContaining({ type: 'ZoneOverview', name: 'near', zone: { enabled: true } }),
  )
  expect((await call('GET', '/zones+insights/near')).json).toMatchObject({ type: 'ZoneOverview', name: 'near' })
  expect((await call('GET', '/zone-insights/near')).json).toMatchObject({ type: 'ZoneInsight', name: 'near' })
  for (const path of [
    '/meshes/default/dataplanes/_overview',
    '/dataplanes+insights',
    '/meshes/default/dataplane-insights',
    '/zoneingresses/_overview',
    '/zone-ingress-insights',
  ]) {
    expect(await call('GET', path)).toMatchObject({ status: 200, json: { total: 0, items: [], next: null } })
  }
})

test('R20 a mesh that is refused does not count as present for resources of the same call, in any order', async () => {
  const bad = { type: 'Mesh', name: 'unborn', mtls: { enabledBackend: 'nowhere' } }
  const inside = { ...gateway('in-unborn'), mesh: 'unborn' }
  for (const documents of [
    [bad, inside],
    [inside, bad],
  ]) {
    const { json } = await call('POST', '/_commit', { documents })
    expect(json.outcomes.map((one: { outcome: string }) => one.outcome)).toEqual(['refused', 'refused'])
  }
  const born = await call('POST', '/_commit', {
    documents: [
      { ...gateway('early'), mesh: 'born' },
      { type: 'Mesh', name: 'born' },
    ],
  })
  expect(born.json.outcomes.map((one: { outcome: string }) => one.outcome)).toEqual(['created', 'created'])
})
