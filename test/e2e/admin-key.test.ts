import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer, type Server } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { adminProof } from '@zonemesh/shared/auth/admin-proof.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, temporaryFolder, until, zonemesh } from './rig.ts'

/** A global and a standalone zone as they start without `--host`, and a global bound to loopback. */
let folder: Folder
let processes: Processes
let [wide, zone, narrow] = ['', '', '']
const path = (name: string): string => join(folder.path, name)
const stateHome = process.env['XDG_STATE_HOME']

const anyPorts = ['--api-tls-port', '0', '--health-port', '0']
const portOf = (address: string): number => Number(new URL(address).port)
/** The subject that the API assigns to a caller with these headers. */
async function whoAmI(address: string, headers: Record<string, string> = {}): Promise<string> {
  const { status, text } = await answer(address, '/who-am-i', headers)
  return status === 200 ? JSON.parse(text).name : `${status}`
}

function answer(
  address: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname: host, port, host: authority } = new URL(address)
  const given = { host, port, path, headers: { host: authority, ...headers } }
  return new Promise((resolve, reject) => {
    const outgoing = request(given, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }))
    })
    outgoing.on('error', reject).end()
  })
}

beforeAll(async () => {
  folder = temporaryFolder()
  process.env['XDG_STATE_HOME'] = path('state')
  processes = createProcesses(folder.path)
  const [first = 0, second = 0, third = 0] = await freePorts(systemRandom, 3)
  ;[wide, zone, narrow] = [first, second, third].map((port) => `http://${local}:${port}`) as [string, string, string]
  const globalArgs = [...anyPorts, '--sync-port', '0', '--api-hosts', 'mesh.example']
  processes.startOwn('wide', ['global', '--data-dir', path('wide'), '--api-port', `${first}`, ...globalArgs])
  processes.startOwn('zone-home', [
    ...['zone', '--name', 'home', '--data-dir', path('zone'), '--api-port', `${second}`, ...anyPorts],
    ...['--proxy-port', '0', '--dns-port', '0'],
  ])
  processes.startOwn('narrow', ['global', '--host', local, '--api-port', `${third}`, ...globalArgs])
  for (const address of [wide, zone, narrow])
    await until(
      `${address} answers`,
      () => api(address).call('GET', '/'),
      ({ status }) => status === 200,
    )
})
afterAll(async () => {
  await processes.stop()
  if (stateHome === undefined) delete process.env['XDG_STATE_HOME']
  else process.env['XDG_STATE_HOME'] = stateHome
  folder[Symbol.dispose]()
})

test('R27 a plane that is reachable from other machines accepts no local caller as administrator without the key', async () => {
  expect(await whoAmI(wide)).toBe('mesh-system:anonymous')
  expect(await whoAmI(zone)).toBe('mesh-system:anonymous')
})

/** A TCP proxy: it adds nothing to a request. */
async function relay(target: number): Promise<Server> {
  const server = createServer((from) => {
    const to = connect(target, local)
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.on('error', () => other.destroy())
      one.pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, local, resolve))
  return server
}

test('R27 a TCP proxy on the machine of a plane makes no caller an administrator', async () => {
  const server = await relay(portOf(wide))
  const { port } = server.address() as { port: number }
  expect(await whoAmI(`http://${local}:${port}`, { host: `localhost:${portOf(wide)}` })).toBe('mesh-system:anonymous')
  const put = await fetch(`http://${local}:${port}/meshes/taken`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'Mesh', name: 'taken' }),
  })
  expect(put.status).toBe(403)
  server.close()
})

test('R27 commands of the user who runs a plane are administrators without flags, and another user needs the key file', async () => {
  const mesh = folder.file('mesh.yaml', 'type: Mesh\nname: own\n')
  for (const address of [wide, zone]) {
    const applied = await zonemesh('apply', '-f', mesh, '--address', address)
    expect([applied.code, applied.stderr]).toEqual([0, ''])
  }
  // Another user has another place, so the command finds no key.
  process.env['XDG_STATE_HOME'] = path('other-state')
  const other = ['delete', 'mesh', 'own', '--address', wide]
  const refused = await zonemesh(...other)
  expect(refused.stderr).toMatch(/Access Denied/)
  const keyFile = join(path('wide'), 'admin.key')
  expect(statSync(keyFile).mode & 0o777).toBe(0o600)
  const wrong = await zonemesh(...other, '--admin-key-file', join(path('zone'), 'admin.key'))
  expect(wrong.stderr).toMatch(
    /Unauthenticated: expected a proof made just now with the admin\.key of this control plane/,
  )
  const allowed = await zonemesh(...other, '--admin-key-file', keyFile)
  expect([allowed.code, allowed.stderr]).toEqual([0, ''])
  process.env['XDG_STATE_HOME'] = path('state')
})

test('R27 the key is readable only by its user, and an outdated key of another plane does not prevent reads', async () => {
  const entry = path(`state/zonemesh/admin-keys/${portOf(wide)}.json`)
  expect(statSync(entry).mode & 0o777).toBe(0o600)
  const text = readFileSync(entry, 'utf8')
  writeFileSync(entry, JSON.stringify({ ...JSON.parse(text), key: 'of-a-plane-that-has-ended' }))
  const outcome = await zonemesh('get', 'meshes', '--address', wide)
  writeFileSync(entry, text)
  expect([outcome.code, outcome.stderr]).toEqual([0, ''])
})

test('R27 a proof counts for one request only, and only for a short time', async () => {
  const key = readFileSync(path('wide/admin.key'), 'utf8').trim()
  const host = new URL(wide).host
  const proven = { method: 'GET', host, path: '/who-am-i' }
  const by = (header: string) => whoAmI(wide, { authorization: header })
  expect(await by(adminProof(key, Date.now(), proven))).toBe('mesh-system:admin')
  expect(await by(adminProof(key, Date.now() - 120_000, proven))).toBe('401')
  expect(await by(adminProof(key, Date.now() + 120_000, proven))).toBe('401')
  for (const other of [{ path: '/config' }, { method: 'PUT' }, { host: 'localhost:1' }])
    expect(await by(adminProof(key, Date.now(), { ...proven, ...other }))).toBe('401')
  expect(await by(adminProof(`${key}x`, Date.now(), proven))).toBe('401')
  expect(await by('Zonemesh-Admin 1.')).toBe('401')
})

test('R11 if every listener of the API is bound to loopback, callers without any sign of a proxy are administrators', async () => {
  expect(await whoAmI(narrow)).toBe('mesh-system:admin')
  const signs = {
    forwarded: 'for=192.0.2.1',
    via: '1.1 proxy',
    host: 'mesh.example',
    'x-forwarded-for': '192.0.2.1',
    'x-forwarded-host': 'mesh.example',
    'x-forwarded-proto': 'https',
    'x-real-ip': '192.0.2.1',
  }
  for (const [name, value] of Object.entries(signs))
    expect([name, await whoAmI(narrow, { [name]: value })]).not.toEqual([name, 'mesh-system:admin'])
})

test('R29 callers without a token are served only by an address or a name of the plane', async () => {
  const named = [`localhost:${portOf(wide)}`, `192.0.2.1:${portOf(wide)}`, '[2001:db8::1]', hostname(), 'mesh.example']
  for (const host of named) expect([host, await whoAmI(wide, { host })]).toEqual([host, 'mesh-system:anonymous'])
  const foreign = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example:5681',
    'x.mesh.example',
  ]
  for (const host of foreign)
    for (const address of [wide, narrow]) expect([host, await whoAmI(address, { host })]).toEqual([host, '403'])
  // Such a caller gets no information, and a page of a browser cannot present a token.
  expect((await answer(wide, '/', { host: 'evil.example' })).text).not.toMatch(/version/)
  const user = { name: 'ada', groups: [], validFor: '1h' }
  const token = (await api(wide).need('POST', '/tokens/user', user)).text.trim()
  const authorization = `Bearer ${token}`
  expect(await whoAmI(wide, { host: 'evil.example', authorization })).toBe('ada')
})

test('R30 with --anonymous none no caller reads without a token or the key, except the index of the API', async () => {
  const [port = 0] = await freePorts(systemRandom, 1)
  const address = `http://${local}:${port}`
  const args = ['--api-port', `${port}`, ...anyPorts, '--sync-port', '0']
  processes.startOwn('closed', ['global', '--anonymous', 'none', ...args])
  await until(
    'it answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  expect((await answer(address, '/')).status).toBe(200)
  const open = ['/who-am-i', '/config', '/_status', '/_history', '/_join', '/meshes', '/zones+insights', '/_resources']
  for (const path of open) {
    const { status, text } = await answer(address, path)
    expect([path, status]).toEqual([path, 401])
    expect(JSON.parse(text).title).toBe('Invalid authentication data')
  }
  expect((await zonemesh('get', 'meshes', '--address', address)).code).toBe(0)
})

const dataplane = (address: string, inbound: object) => ({
  type: 'Dataplane',
  mesh: 'default',
  name: 'web-1',
  networking: { address, inbound: [{ tags: { 'kuma.io/service': 'web' }, ...inbound }] },
})
const ownAddress = (): string => {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? local
}

test('R28 a Dataplane with a loopback address is refused if the zone does not listen on loopback itself, and so is a port of the plane', async () => {
  const put = (document: object) => api(zone).call('PUT', '/meshes/default/dataplanes/web-1', document)
  const cases: readonly [object, string | undefined][] = [
    [dataplane(local, { port: 18_080 }), 'networking.address'],
    [dataplane('localhost', { port: 18_080 }), 'networking.address'],
    [dataplane('192.0.2.7', { port: 18_080, address: '127.0.0.9' }), 'networking.inbound[0].address'],
    [dataplane(ownAddress(), { port: portOf(zone) }), 'networking.inbound[0].port'],
    [dataplane(ownAddress(), { port: 18_080, servicePort: portOf(zone) }), 'networking.inbound[0].servicePort'],
    [dataplane('192.0.2.7', { port: portOf(zone) }), undefined],
    [dataplane(ownAddress(), { port: 18_080, servicePort: 8_080 }), undefined],
  ]
  for (const [document, field] of cases) {
    const reply = await put(document)
    const found = (reply.json as { invalid_parameters?: { field: string }[] }).invalid_parameters?.[0]?.field
    expect([JSON.stringify(document), reply.status < 300, found]).toEqual([
      JSON.stringify(document),
      field === undefined,
      field,
    ])
  }
})

test('R28 the same rule applies to a Dataplane that a proxy registers', async () => {
  const token = (await zonemesh('token', 'dataplane', '--address', zone)).stdout
  const file = folder.file('web.json', JSON.stringify(dataplane(local, { port: 18_080 })))
  const proxyPort = Number(/"proxyPort":(\d+)/.exec(readFileSync(path('zone-home.log'), 'utf8'))?.[1])
  const given = ['--dataplane-file', file, '--token-file', folder.file('web.token', token)]
  const cp = ['--cp-address', `https://${local}:${proxyPort}`, '--ca-cert-file', path('zone/ca.crt')]
  const outcome = await zonemesh('dataplane', ...given, ...cp)
  expect(outcome.stderr).toMatch(/networking\.address: must not be a loopback address, found "127\.0\.0\.1"/)
})
