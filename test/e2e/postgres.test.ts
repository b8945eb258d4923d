import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { noFaults, startRelay } from '@zonemesh/cli/chaos/relay.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Place } from '../contract/postgres-proxy.ts'
import { type PostgresServer, startPostgres } from '../contract/postgres-server.ts'
import { api, type Folder, local, statusOf, temporaryFolder, until, untilLogged, zonemesh } from './rig.ts'

let server: PostgresServer
let folder: Folder
let processes: Processes
let schemas = 0
let schema = ''

beforeAll(async () => {
  server = await startPostgres({ durable: true })
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  schemas += 1
  schema = `e2e_${schemas}`
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
})
afterEach(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

/** Starts a global on the database and waits until it answers. Replicas share the folder with the keys. */
async function startGlobal(name: string, place: Place = server): Promise<string> {
  const [port = 0, sync = 0] = await freePorts(systemRandom, 2)
  const places = ['--store', server.url(schema, place), '--data-dir', `${folder.path}/global`]
  processes.startOwn(name, ['global', ...places, ...anyPorts, '--api-port', `${port}`, '--sync-port', `${sync}`])
  const address = `http://${local}:${port}`
  await until(
    `${name} answers`,
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  return address
}

async function startZone(globalAddress: string, place: Place = server): Promise<string> {
  const [port = 0] = await freePorts(systemRandom, 1)
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', globalAddress)
  const places = ['--store', server.url(`${schema}_east`, place), '--data-dir', `${folder.path}/east`]
  const joinFile = folder.file('east.join', stdout)
  const ports = [...anyPorts, '--api-port', `${port}`, '--proxy-port', '0', '--dns-port', '0']
  processes.startOwn('zone-east', ['zone', '--join-file', joinFile, ...places, ...ports])
  return `http://${local}:${port}`
}

const meshPath = (name: string) => `/meshes/${name}`
const putMesh = (address: string, name: string) => api(address).call('PUT', meshPath(name), { type: 'Mesh', name })
const untilMesh = (address: string, name: string) =>
  until(
    `${address} has the mesh ${name}`,
    () => api(address).call('GET', meshPath(name)),
    ({ status }) => status === 200,
  )
/** The revision of a store, read from the database itself. */
const revisionOf = async (of: string) => Number((await server.sql(`SELECT revision FROM ${of}.head`))[0]?.['revision'])

test('E25 a global and a zone keep their stores in PostgreSQL, and continue at their position after both are killed', async () => {
  const globalAddress = await startGlobal('global')
  const zoneAddress = await startZone(globalAddress)
  expect((await putMesh(globalAddress, 'first')).status).toBe(201)
  await untilMesh(zoneAddress, 'first')
  expect(await server.sql(`SELECT state FROM ${schema}_east.versions WHERE key = 'global/Mesh//first'`)).toHaveLength(1)

  const startAgain = await processes.kill('global', 'SIGKILL')
  const before = await revisionOf(schema)
  startAgain()
  await untilMesh(globalAddress, 'first')
  expect(await revisionOf(schema)).toBeGreaterThanOrEqual(before)
  await until(
    'the zone is back',
    () => statusOf(zoneAddress),
    ({ uplink }) => uplink.phase === 'connected',
  )
  expect((await putMesh(globalAddress, 'second')).status).toBe(201)
  await untilMesh(zoneAddress, 'second')

  const startZoneAgain = await processes.kill('zone-east', 'SIGKILL')
  expect((await putMesh(globalAddress, 'third')).status).toBe(201)
  startZoneAgain()
  await untilMesh(zoneAddress, 'third')
  await untilMesh(zoneAddress, 'first')
})

test('E26 ZR13 two globals share a database: a write on one is read on the other and reaches the zone, and both show its status and complete its receipts', async () => {
  const one = await startGlobal('global-1')
  const other = await startGlobal('global-2')
  const zoneAddress = await startZone(one)
  expect((await putMesh(one, 'of-one')).status).toBe(201)
  expect((await api(other).call('GET', meshPath('of-one'))).status).toBe(200)
  expect((await putMesh(other, 'of-the-other')).status).toBe(201)
  expect((await api(one).call('GET', meshPath('of-the-other'))).status).toBe(200)
  await untilMesh(zoneAddress, 'of-one')
  await untilMesh(zoneAddress, 'of-the-other')

  // Only the first global has a session with the zone. Both show the same status, and both complete its receipts.
  for (const name of ['third', 'fourth', 'fifth']) {
    const written = await api(one).call('PUT', meshPath(name), { type: 'Mesh', name })
    for (const address of [one, other]) {
      const receipt = await api(address).need(
        'GET',
        `/_receipts/${written.headers['zonemesh-revision']}?wait=served@all&timeout=5s`,
      )
      expect(receipt.json).toMatchObject({ complete: true, zones: [{ zone: 'east', state: 'reached' }] })
    }
    const [shown, followed] = await Promise.all([one, other].map(async (address) => (await statusOf(address)).zones[0]))
    for (const address of [one, other])
      expect((await api(address).need('GET', '/zones/east/_sight')).json).toMatchObject({ name: 'east', role: 'zone' })
    expect(followed).toMatchObject({ connected: true, current: true, epoch: shown?.epoch, revision: shown?.revision })
  }
})

test('E54 while the database does not answer, a global and a zone still answer a user for their status, and say since when', async () => {
  const deps = { clock: systemClock, random: systemRandom }
  const target = { targetHost: server.host, targetPort: server.port }
  await using relay = await startRelay(deps, { host: local, port: 0, ...target })
  const behind = { host: local, port: relay.port }
  const globalAddress = await startGlobal('global', behind)
  const zoneAddress = await startZone(globalAddress, behind)
  const { stdout } = await zonemesh(
    'token',
    'user',
    '--name',
    'who',
    '--group',
    'mesh-system:admin',
    '--address',
    globalAddress,
  )
  const current = (address: string) =>
    until(
      `${address} is current`,
      () => statusOf(address),
      (status) => [status.zones?.[0]?.current, status.uplink?.current].includes(true),
    )
  const ask = async (address: string) => {
    const startMs = performance.now()
    const headers = { authorization: `Bearer ${stdout.trim()}` }
    const reply = await fetch(`${address}/_status`, { headers, signal: AbortSignal.timeout(5_000) })
    return { body: JSON.parse(await reply.text()), tookMs: performance.now() - startMs }
  }
  // The zone checks the token when it has the key of the global.
  for (const address of [globalAddress, zoneAddress]) {
    await current(address)
    expect((await ask(address)).body).not.toHaveProperty('storeFault')
  }
  relay.set({ ...noFaults, blackHole: ['up', 'down'] })
  for (const address of [globalAddress, zoneAddress, globalAddress, zoneAddress]) {
    const { body, tookMs } = await ask(address)
    expect(body.storeFault).toMatch(
      /^it has not answered since 20\d\d-.*Z, and what this status shows of it is from that time$/,
    )
    // Each of the two reads waits half a second, and no read waits for the time limit of the database.
    expect(tookMs).toBeLessThan(3_000)
    if (body.zones) expect(body.zones).toMatchObject([{ zone: 'east', connected: true, current: false }])
  }
  relay.set(noFaults)
  for (const address of [globalAddress, zoneAddress]) {
    await current(address)
    expect((await ask(address)).body).not.toHaveProperty('storeFault')
  }
})

test('E50 V22 a second global on the database with its own keys refuses to start, changes nothing and names the files to copy', async () => {
  await startGlobal('global-1')
  const dataDir = `${folder.path}/second`
  const places = ['--store', server.url(schema), '--data-dir', dataDir]
  const args = ['global', ...places, ...anyPorts, '--api-port', '0', '--sync-port', '0']
  const copyThese =
    /copy seal\.key, ca\.key and ca\.crt from the data folder of a running replica of this store \(running replicas: \S+\)/
  const empty = await zonemesh(...args)
  expect([empty.code, empty.stderr]).toEqual([
    1,
    expect.stringMatching(/expected the keys of this store in .*second, found none/),
  ])
  expect(empty.stderr).toMatch(copyThese)
  expect(readdirSync(dataDir).filter((name) => /\.(key|crt)$/.test(name))).toEqual([])

  // Only one of the three is copied: zones would not trust the authority of the new one.
  await processes.kill('global-1', 'SIGTERM')
  const own = `${folder.path}/own`
  processes.startOwn('own', ['global', '--data-dir', own, ...anyPorts, '--api-port', '0', '--sync-port', '0'])
  await until(
    'it has keys',
    () => existsSync(`${own}/ca.crt`),
    (found) => found,
  )
  await processes.kill('own', 'SIGTERM')
  cpSync(`${folder.path}/global/seal.key`, `${own}/seal.key`)
  rmSync(`${own}/identity.json`)
  const other = await zonemesh(...args.map((arg) => (arg === dataDir ? own : arg)))
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringMatching(/found another ca\.crt: copy seal\.key, ca\.key and ca\.crt/),
  ])

  for (const name of ['seal.key', 'ca.key', 'ca.crt']) cpSync(`${folder.path}/global/${name}`, `${dataDir}/${name}`)
  processes.startOwn('second', args)
  await untilLogged(`${folder.path}/second.log`, /is ready/)
})

test('E27 while the database is away writes and reads get 503 with Retry-After, and nothing is lost', async () => {
  const globalAddress = await startGlobal('global')
  const zoneAddress = await startZone(globalAddress)
  expect((await putMesh(globalAddress, 'before')).status).toBe(201)
  await untilMesh(zoneAddress, 'before')
  const [globalPid, zonePid] = ['global', 'zone-east'].map((name) => processes.get(name)?.pid)
  await server.crash()
  for (const method of ['PUT', 'GET']) {
    const answer = await fetch(`${globalAddress}${meshPath('during')}`, {
      method,
      ...(method === 'PUT'
        ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ type: 'Mesh', name: 'during' }) }
        : {}),
    })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await answer.json()).toMatchObject({ status: 503, detail: expect.stringContaining('not available') })
  }
  await server.start()
  await until(
    'the global writes again',
    () => putMesh(globalAddress, 'after'),
    ({ status }) => status === 200 || status === 201,
  )
  await untilMesh(zoneAddress, 'after')
  expect((await api(globalAddress).call('GET', meshPath('before'))).status).toBe(200)
  expect(['global', 'zone-east'].map((name) => processes.get(name)?.pid)).toEqual([globalPid, zonePid])
  for (const name of ['global', 'zone-east'])
    expect(readFileSync(`${folder.path}/${name}.log`, 'utf8')).not.toContain(server.password)
})

test('E28 a zone refuses the database of a global, and no message contains a password', async () => {
  await startGlobal('global')
  const args = ['zone', '--name', 'home', ...anyPorts, '--api-port', '0', '--proxy-port', '0', '--dns-port', '0']
  const url = server.url(schema)
  const outcome = await zonemesh(...args, '--data-dir', `${folder.path}/home`, '--store', url)
  expect(outcome.code).toBe(1)
  expect(outcome.stderr).toMatch(/expected a store of zone "home", found the one of the global/)
  const wrong = await zonemesh(...args, '--store', url.replace(server.password, 'not-this-one'))
  expect(wrong.stderr).toMatch(/a user and password that the server accepts/)
  const scheme = await zonemesh(...args, '--store', url.replace('postgres:', 'mysql:'))
  expect(scheme).toMatchObject({ code: 2, stderr: expect.stringContaining('expected postgres://USER') })
  for (const { stderr } of [outcome, wrong, scheme])
    expect(stderr).not.toMatch(new RegExp(`${server.password}|not-this`))
})
