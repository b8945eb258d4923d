import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { parseBody } from '@zonemesh/plane/api/bodies.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { startApi } from '@zonemesh/plane/api/server.ts'
import { nestingMax } from '@zonemesh/shared/base/nesting.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { expect, test } from 'vitest'
import { createPair } from '../pki.ts'
import { createPlane, timeout } from './routes.ts'
import { remote, send, serve } from './serve.ts'

const mebibyte = 1024 * 1024
const path = '/meshes/default/timeouts/t'

test('R7 a body is JSON without a content encoding, of at most 4 MiB, and nests at most 100 levels', async () => {
  await using api = await serve()
  const put = (body: string, headers = {}) => api.call('PUT', path, body, headers)
  const padded = (bytes: number) => JSON.stringify(timeout('t')).padEnd(bytes, ' ')
  expect((await put(padded(4 * mebibyte))).status).toBe(201)
  const large = await put(padded(4 * mebibyte + 1))
  expect([large.status, large.json.detail]).toEqual([413, `the body is larger than ${4 * mebibyte} bytes`])
  for (const [encoding, status] of [
    ['identity', 200],
    ['gzip', 415],
  ] as const)
    expect((await put(padded(0), { 'content-encoding': encoding })).status).toBe(status)
  const type = await put('x', { 'content-type': 'text/plain' })
  expect([type.status, type.json.detail]).toEqual([415, 'expected Content-Type application/json'])
  const broken = await put('{')
  expect([broken.status, broken.json.detail]).toEqual([400, expect.stringMatching(/^the body is not JSON: /)])
  expect((await put('')).json.detail).toBe('the body is empty')
})

test('R7 an empty body is no body, and a body at the limit of nesting is read', () => {
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  expect(parseBody('')).toBeUndefined()
  expect(parseBody('{"a":1}')).toEqual({ a: 1 })
  expect(() => parseBody(nested(nestingMax))).not.toThrow()
  expect(() => parseBody(nested(nestingMax + 1))).toThrow(`the body nests deeper than ${nestingMax} levels`)
})

/** Opens requests whose bodies never end, and resolves when the server has read their headers. */
async function openBodies(port: number, count: number, headers: string): Promise<readonly Socket[]> {
  const head = 'POST /_commit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue'
  const opened = Array.from({ length: count }, () => connect(port, '127.0.0.1'))
  for (const socket of opened) {
    socket.on('error', () => undefined).write(`${head}\r\n${headers}\r\n\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
  }
  return opened
}

test.each<[string, number, string, number]>([
  ['31 bodies without a length', 31, 'Transfer-Encoding: chunked', 400],
  ['32 bodies without a length', 32, 'Transfer-Encoding: chunked', 503],
  // A body that is larger than allowed counts as the largest: its request is refused anyway.
  ['31 bodies of 100 MiB', 31, `Content-Length: ${100 * mebibyte}`, 400],
  ['32 bodies of 3 MiB', 32, `Content-Length: ${3 * mebibyte}`, 400],
])('R47 the bodies that are read at one time have at most 128 MiB: %s', async (_title, count, headers, status) => {
  await using api = await serve()
  const opened = await openBodies(api.server.port, count, headers)
  const answer = await api.call('POST', '/_commit', '1')
  expect([answer.status, answer.headers['retry-after']]).toEqual([status, status === 503 ? '1' : undefined])
  expect((await api.call('GET', '/meshes')).status).toBe(200)
  for (const socket of opened) socket.destroy()
  // A request that ends frees its bytes.
  while ((await api.call('POST', '/_commit', '1')).status === 503) await new Promise(setImmediate)
})

test('R2 a path is the same with a slash at its end, and PATCH returns 405 on every path, and a part of a path has at most 400 characters', async () => {
  await using api = await serve()
  expect((await api.call('GET', '/meshes/')).status).toBe(200)
  for (const [method, at] of [
    ['PATCH', path],
    ['PATCH', '/meshes'],
    ['POST', path],
    ['DELETE', '/config'],
    ['GET', '/_commit'],
  ] as const)
    expect(await api.call(method, at)).toMatchObject({ status: 405, text: '405: Method Not Allowed' })
  const unknown = await api.call('GET', '/nope')
  expect(unknown).toMatchObject({ status: 404, text: '404: Page Not Found' })
  expect(unknown.headers['content-type']).toMatch(/^text\/plain/)
  const long = 'x'.repeat(400)
  expect((await api.call('GET', `/meshes/${long}`)).json.title).toBe('Could not retrieve a resource')
  expect((await api.call('GET', `/meshes/${long}x`)).status).toBe(414)
})

test('R3 an answer is JSON with one space of indent, unless the caller accepts no JSON', async () => {
  await using api = await serve()
  const answer = await api.call('GET', '/who-am-i')
  expect(answer.text).toMatch(/^\{\n "name": "mesh-system:admin",\n "groups": \[/)
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  for (const [accept, status] of [
    ['application/json', 200],
    ['text/plain', 200],
    ['text/html, */*;q=0.1', 200],
    ['', 200],
    ['text/html', 406],
  ] as const)
    expect([accept, (await api.call('GET', '/', undefined, { accept })).status]).toEqual([accept, status])
  const token = await api.call('POST', '/tokens/user', { name: 'a', validFor: '1h' })
  expect(token.headers['content-type']).toMatch(/^text\/plain/)
})

test('R29 the index answers under every Host and with any token, and other routes only to known callers', async () => {
  const isOwnHost = (host: string) => host.startsWith('localhost')
  await using api = await serve({ localhostIsAdmin: false, anonymousRules: { anonymous: 'none', isOwnHost } })
  const status = async (at: string, headers: Record<string, string>) =>
    (await api.call('GET', at, undefined, headers)).status
  expect(await status('/', { host: 'localhost' })).toBe(200)
  expect(await status('/', { host: 'localhost', authorization: 'Bearer nonsense' })).toBe(200)
  expect(await status('/', { host: 'evil.example' })).toBe(403)
  expect(await status('/meshes', { host: 'localhost' })).toBe(401)
  expect(await status('/meshes', { host: 'localhost', authorization: 'Bearer nonsense' })).toBe(401)
  await using open = await serve({ anonymousRules: { anonymous: 'read', isOwnHost } })
  expect((await open.call('GET', '/who-am-i', undefined, { host: 'localhost' })).json.name).toBe('mesh-system:admin')
  expect((await open.call('GET', '/who-am-i', undefined, { ...remote, host: 'localhost' })).json.name).toBe(
    'mesh-system:anonymous',
  )
})

const failure = (code: string) => Object.assign(new Error('failed'), { code })

test.each<[string, unknown, number, boolean]>([
  ['a database that does not answer', new StoreUnavailableError('away'), 503, true],
  ['a full disk', failure('ENOSPC'), 503, true],
  ['a failure of the store below another error', new Error('above', { cause: failure('EIO') }), 503, true],
  ['another code', failure('EPERM'), 500, true],
  ['a code that is no text', Object.assign(new Error('failed'), { code: 5 }), 500, true],
  ['a value that is no error', 'text', 500, true],
  ['an error with a status of a client', Object.assign(new Error('too odd'), { statusCode: 418 }), 400, false],
  ['an error with a status of a server', Object.assign(new Error('hush'), { statusCode: 502 }), 500, true],
])('R48 a failure is answered without its details and logged: %s', async (_title, thrown, status, isLogged) => {
  const logged: unknown[] = []
  const log = { ...silentLog, error: (fields: { err: unknown }) => void logged.push(fields.err) }
  await using api = await serve({ status: () => Promise.reject(thrown), log: log as ApiPlane['log'] })
  const answer = await api.call('GET', '/_status')
  expect(answer.status).toBe(status)
  expect(answer.headers['retry-after']).toBe(status === 503 ? '1' : undefined)
  expect(logged).toEqual(isLogged ? [thrown] : [])
  expect(answer.text).not.toMatch(/hush|failed/)
  if (status === 500) expect(answer.json.detail).toBe('Internal Server Error')
})

test('R49 the API listens on a second port with TLS, names both ports, and closes both', async () => {
  const plane = await createPlane()
  const { certificate, key } = await createPair({ names: ['localhost'] })
  const server = await startApi(plane, { host: '127.0.0.1', port: 0, tls: { port: 0, certificate, key } })
  expect(server.port).toBeGreaterThan(0)
  expect(server.tlsPort).toBeGreaterThan(0)
  expect(server.routes).toContainEqual({ method: 'GET', path: '/meshes/:mesh/timeouts/:name' })
  expect(server.routes.filter(({ path: at }) => at === '/meshes').map(({ method }) => method)).toEqual(['GET'])
  const paths = new Set(server.routes.map(({ path: at }) => at))
  for (const at of [
    '/',
    '/tokens/zone',
    '/zones/_overview',
    '/_commit',
    '/_history',
    '/_sight',
    '/zones/:name/_keep',
    '/_rows',
  ])
    expect([at, paths.has(at)]).toEqual([at, true])
  await server.close()
  for (const port of [server.port, server.tlsPort ?? 0])
    await expect(send(`http://127.0.0.1:${port}`, 'GET', '/')).rejects.toThrow('ECONNREFUSED')
})

test('R52 a path of a kind of Kuma that is not served returns 404 with what to use today', async () => {
  await using api = await serve()
  for (const path of [
    '/meshes/default/meshtimeouts',
    '/meshes/default/meshtimeouts/x',
    '/meshtimeouts?size=1',
    '/mesh-timeouts',
  ])
    for (const method of ['GET', 'PUT', 'DELETE'])
      expect(await api.call(method, path)).toMatchObject({
        status: 404,
        json: {
          ...{ type: '/std-errors', status: 404, title: 'Could not find a kind' },
          detail: 'the kind MeshTimeout of Kuma is known, not served yet; use Timeout',
        },
      })
  const put = await api.call('PUT', '/meshes/default/timeouts/x', { type: 'MeshTimeout', mesh: 'default', name: 'x' })
  expect(put.status).toBe(400)
  const many = await api.call('POST', '/_commit', { documents: [{ type: 'MeshTimeout', mesh: 'default', name: 'x' }] })
  expect([many.status, many.text]).toEqual([400, expect.stringContaining('known, not served yet; use Timeout')])
  for (const path of ['/_history?kind=MeshTimeout', '/_diff?from=@1&kind=meshtimeouts'])
    expect((await api.call('GET', path)).json).toMatchObject({
      ...{ status: 400, detail: 'the kind MeshTimeout of Kuma is known, not served yet; use Timeout' },
      invalid_parameters: [{ field: 'kind' }],
    })
  for (const path of ['/meshes/default/mush', '/meshes', '/meshes/meshtimeouts/timeouts/meshtimeouts'])
    expect((await api.call('GET', path)).text).not.toContain('not served')
})

test('R49 a port in use stops the start with one sentence', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as AddressInfo // it listens on a port
  await expect(startApi(await createPlane(), { host: '127.0.0.1', port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port} for the HTTP API: this process already uses the port; choose another with --api-port N`,
  )
  other.close()
})

test('R49 an upgrade is passed on if its protocol is known, and is otherwise a normal request', async () => {
  const upgrades = {
    isMine: ({ url }: { url?: string | undefined }) => url === '/sync',
    upgrade: (_request: unknown, socket: { end(text: string): void }) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n'),
  }
  await using api = await serve({}, { upgrades })
  await using plain = await serve()
  const firstLine = (port: number, at: string) => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('utf8').once('data', (text: string) => {
      resolve(text.split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.write(`GET ${at} HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n`)
    return promise
  }
  expect(await firstLine(api.server.port, '/sync')).toMatch(/ 101 /)
  expect(await firstLine(api.server.port, '/meshes')).toMatch(/ 200 /)
  expect(await firstLine(plain.server.port, '/meshes')).toMatch(/ 200 /)
})
