import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import type { Uplink } from '@zonemesh/shared/sync/uplink.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningGlobal, startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { startBareZone } from './bare-zone.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
let folder: string
let global: RunningGlobal

async function start(...more: string[]): Promise<void> {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports, '--data-dir', folder, ...more], {})
  if (!read.ok) throw new Error(read.error.message)
  global = await startGlobal(env, read.value.values, globalOptions)
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-guards-'))
  await start()
})
afterEach(async () => {
  await global.close()
  rmSync(folder, { recursive: true, force: true })
})

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined
  return { status: response.status, text, json }
}

/** A caller that is not the admin of localhost. */
const remote = { 'x-forwarded-for': '203.0.113.9' }

const timeout = (name: string, mesh = 'default') => ({
  type: 'Timeout',
  mesh,
  name,
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: '1s' },
})
const names = (count: number) => Array.from({ length: count }, (_, index) => `t${String(index).padStart(2, '0')}`)

async function putTimeouts(count: number, mesh = 'default'): Promise<void> {
  const documents = names(count).map((name) => timeout(name, mesh))
  expect((await call('POST', '/_commit', { documents })).status).toBe(200)
}
const timeoutsLeft = async (): Promise<number> => (await call('GET', '/timeouts')).json.total

const deletionsOf = (count: number) => names(count).map((name) => ({ type: 'Timeout', mesh: 'default', name }))
const remove = (count: number, more: object = {}, query = '') =>
  call('POST', `/_commit${query}`, { documents: [], deletions: deletionsOf(count), ...more })

test('R21 one commit deletes several resources and reports each, and only an absent resource is refused', async () => {
  await putTimeouts(4)
  const deletions = [...deletionsOf(2), { type: 'Timeout', mesh: 'default', name: 'none' }]
  const atomic = await call('POST', '/_commit', { documents: [timeout('new')], deletions, atomic: true })
  expect(atomic.status).toBe(400)
  expect(await timeoutsLeft()).toBe(4)
  const answer = await call('POST', '/_commit', { documents: [timeout('new')], deletions })
  expect(answer.status).toBe(207)
  expect(answer.json.outcomes).toMatchObject([
    { index: 0, outcome: 'created', name: 'new' },
    { index: 1, outcome: 'deleted', name: 't00' },
    { index: 2, outcome: 'deleted', name: 't01' },
    { index: 3, outcome: 'refused', name: 'none', detail: 'Not found' },
  ])
  expect(await timeoutsLeft()).toBe(3)
  expect((await call('GET', '/_history?limit=1')).json.items[0].resources).toHaveLength(3)
})

test('R21 a commit neither writes a resource that it deletes, nor writes into a mesh that it deletes', async () => {
  await call('PUT', '/meshes/other', { type: 'Mesh', name: 'other' })
  await putTimeouts(1)
  const documents = [timeout('t00'), timeout('x', 'other')]
  const deletions = [...deletionsOf(1), { type: 'Mesh', name: 'other' }]
  const { status, json } = await call('POST', '/_commit', { documents, deletions })
  expect(status).toBe(207)
  expect(json.outcomes.map((one: JsonObject) => one['outcome'])).toEqual(['unchanged', 'created', 'refused', 'refused'])
  expect((await call('GET', '/meshes/other')).status).toBe(200)
  const anonymous = await call('POST', '/_commit', { documents: [], deletions: deletionsOf(1) }, remote)
  expect(anonymous.json.outcomes[0].detail).toMatch(/cannot delete/)
})

test('R22 a commit that removes more than 30 % of a kind and more than 10 returns 409 with the list, unless it is declared', async () => {
  await putTimeouts(40)
  const refused = await remove(13)
  expect(refused.status).toBe(409)
  expect(refused.json.detail).toMatch(/^this commit removes 13 of 40 Timeout, .*\?declared=true.*--yes-remove-many$/)
  expect(refused.json.invalid_parameters).toHaveLength(13)
  expect(refused.json.invalid_parameters[0]).toEqual({ field: 'Timeout default/t00', reason: 'would be removed' })
  expect(await timeoutsLeft()).toBe(40)
  // Exactly 30 % is not more than 30 %, and ten rows are never too many.
  expect((await remove(12)).status).toBe(200)
  expect(await timeoutsLeft()).toBe(28)
  expect((await remove(40, { atomic: true })).status).toBe(400)
  const rest = names(40).slice(12, 36)
  const deletions = rest.map((name) => ({ type: 'Timeout', mesh: 'default', name }))
  expect((await call('POST', '/_commit', { documents: [], deletions })).status).toBe(409)
  expect((await call('POST', '/_commit', { documents: [], deletions, declared: true })).status).toBe(200)
  expect(await timeoutsLeft()).toBe(4)
})

test('R22 ten of ten resources are removed without a declaration, and a commit with 409 writes nothing at all', async () => {
  await putTimeouts(11)
  const mixed = { documents: [timeout('zz')], deletions: deletionsOf(11) }
  expect((await call('POST', '/_commit', mixed)).status).toBe(409)
  expect(await timeoutsLeft()).toBe(11)
  expect((await remove(10)).status).toBe(200)
  expect(await timeoutsLeft()).toBe(1)
})

test('R22 a mesh with very many policies is deleted only with a declaration', async () => {
  await call('PUT', '/meshes/other', { type: 'Mesh', name: 'other' })
  await putTimeouts(12, 'other')
  const refused = await call('DELETE', '/meshes/other')
  expect(refused.status).toBe(409)
  expect(refused.json.invalid_parameters).toContainEqual({ field: 'Timeout other/t00', reason: 'would be removed' })
  expect((await call('DELETE', '/meshes/other?declared=true')).status).toBe(200)
  expect((await call('GET', '/meshes/other')).status).toBe(404)
  expect(await timeoutsLeft()).toBe(0)
})

test('R22 a rollback that removes very many resources returns 409 with the number, which must be confirmed', async () => {
  await putTimeouts(12)
  const back = (more: JsonObject) => call('POST', '/_rollback', { to: '@-1', ...more })
  const tried = await back({ dryRun: true })
  expect([tried.status, tried.json.confirmRemovals]).toEqual([200, 12])
  const refused = await back({})
  expect(refused.status).toBe(409)
  expect(refused.json.detail).toMatch(
    /^this commit removes 12 of 12 Timeout, .*"confirmRemovals": 12 .*--confirm-removals 12$/,
  )
  expect(refused.json.invalid_parameters).toHaveLength(12)
  const wrong = await back({ confirmRemovals: 11 })
  expect([wrong.status, wrong.json.detail]).toEqual([409, expect.stringMatching(/\(found 11\)$/)])
  expect(await timeoutsLeft()).toBe(12)
  const removed = await back({ confirmRemovals: 12 })
  expect(removed.status).toBe(200)
  expect(await timeoutsLeft()).toBe(0)
  // A rollback needs no confirmation for restored resources, or for a few removals.
  expect((await back({})).status).toBe(200)
  expect(await timeoutsLeft()).toBe(12)
  expect((await remove(12, { declared: true })).status).toBe(200)
  await putTimeouts(10)
  expect((await back({})).status).toBe(200)
  expect(await timeoutsLeft()).toBe(0)
})

test('R22 rows that planes write by themselves never count, regardless of their number', async () => {
  // Each backend has a root, which is an internal row.
  const backends = names(12).map((name) => ({ name, type: 'builtin' }))
  const mesh = { type: 'Mesh', name: 'other', mtls: { enabledBackend: 't00', backends } }
  expect((await call('PUT', '/meshes/other', mesh)).status).toBe(201)
  const roots = async () => {
    const kept = JSON.parse(readFileSync(join(folder, 'recovery.keys'), 'utf8'))
    return kept.rows.filter(({ key }: { key: { kind: string } }) => key.kind === 'MeshRoot').length
  }
  await until(roots, (count) => count === 12)
  expect((await call('DELETE', '/meshes/other')).status).toBe(200)
})

async function zoneStatus(zone: string): Promise<JsonObject> {
  const { zones } = (await call('GET', '/_status')).json
  return zones.find((one: JsonObject) => one['zone'] === zone)
}

async function until<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (isRight(answer)) return answer
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function joinZone(
  zone: string,
): Promise<{ readonly uplink: Uplink; readonly store: Store; readonly rows: () => Promise<number> } & AsyncDisposable> {
  const { text } = await call('POST', '/tokens/zone', { zone, scope: ['cp'], validFor: '1h' })
  const store = createMemoryStore(env, { horizonRevisions: 1000 })
  const uplink = startBareZone(global, { zone, token: text.trim(), store })
  return {
    uplink,
    store,
    rows: async () => (await store.scan({ kind: 'Timeout' })).length,
    [Symbol.asyncDispose]: () => uplink[Symbol.asyncDispose](),
  }
}

/** Commits an undeclared mass removal to the store, which the API would refuse. */
async function removeByAnotherWay(count: number): Promise<void> {
  await global.close()
  const store = await openSqliteStore(env, { path: join(folder, 'store.db'), horizonRevisions: 1000 })
  const changes = names(count).map(
    (name) => ({ op: 'delete', key: { origin: 'global', kind: 'Timeout', mesh: 'default', name } }) as const,
  )
  await store.commit({ changes, subject: 'nobody', intent: 'a bug' })
  await store.close()
}

test('R23 release returns 409 with the reason if nothing is held, and 202 when the request is sent to the zone', async () => {
  expect((await call('POST', '/zones/east/_release')).status).toBe(404)
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: true })
  const away = await call('POST', '/zones/east/_release')
  expect(away.status).toBe(409)
  expect(away.json.detail).toBe(
    'zone "east" is not connected to this control plane: run the command against the zone itself',
  )
  expect((await call('POST', '/zones/east/_release', {}, remote)).status).toBe(403)
  await putTimeouts(20)
  const { syncPort } = global
  await using east = await joinZone('east')
  await until(
    () => zoneStatus('east'),
    ({ current }) => current === true,
  )
  expect((await call('POST', '/zones/east/_release')).json.detail).toBe('zone "east" holds nothing')
  // The zone does not hold a commit that was declared at the global.
  expect((await remove(20, { declared: true })).status).toBe(200)
  await until(east.rows, (rows) => rows === 0)
  await putTimeouts(20)
  await until(east.rows, (rows) => rows === 20)

  await removeByAnotherWay(19)
  await start('--sync-port', `${syncPort}`)
  const held = await until(
    () => zoneStatus('east'),
    (status) => Array.isArray(status?.['holds']) && status['holds'].length > 0,
  )
  expect(held).toMatchObject({
    connected: true,
    current: false,
    holds: [{ id: expect.stringMatching(/^commit:/), origin: 'global', removals: 19 }],
  })
  expect(Number(held['lagRevisions'])).toBeGreaterThan(0)
  expect(await east.rows()).toBe(20)
  const other = await call('POST', '/zones/east/_release', { hold: 'commit:0.0' })
  expect(other.status).toBe(409)
  expect(other.json.detail).toMatch(/^zone "east" holds "commit:\S+", not "commit:0\.0"$/)
  expect((await call('POST', '/zones/east/_release', { holt: 'x' })).status).toBe(400)
  const released = await call('POST', '/zones/east/_release')
  expect(released).toMatchObject({ status: 202, json: { zone: 'east', hold: { removals: 19 } } })
  await until(
    () => zoneStatus('east'),
    ({ current }) => current === true,
  )
  expect(await east.rows()).toBe(1)
  expect(east.uplink.state.value.hold).toBeUndefined()
})

/** A zone announces services, the first one in a row that cannot be parsed, and disconnects. */
async function announce(zone: string, count: number): Promise<void> {
  await call('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
  const changes = names(count).map((name): Change => {
    const tags = { 'kuma.io/service': name, 'kuma.io/zone': zone }
    const key = { origin: zone, kind: 'AvailableService', mesh: 'default', name }
    return { op: 'put', key, labels: {}, spec: name === 't00' ? { tags: 5 } : { tags, instances: 1 } }
  })
  {
    await using joined = await joinZone(zone)
    const outcome = await joined.store.commit({ changes, subject: 'test', intent: 'announce' })
    const revision = outcome.ok ? outcome.position.revision : Number.NaN
    await until(
      async () => joined.uplink.state.value.storedByGlobal,
      (stored) => stored >= revision,
    )
  }
  await until(
    () => zoneStatus(zone),
    ({ connected }) => connected === false,
  )
}

test('R22 a Zone that announces most of all services is deleted only with a declaration, and a disabled Zone without one', async () => {
  await announce('east', 11)
  await announce('west', 10)
  const refused = await call('DELETE', '/zones/east')
  expect(refused.status).toBe(409)
  expect(refused.json.detail).toMatch(/^this commit removes 11 of 21 announced services, .*\?declared=true/)
  expect((await call('GET', '/zones/east')).status).toBe(200)
  expect((await call('DELETE', '/zones/west')).status).toBe(200)
  expect((await call('DELETE', '/zones/east?declared=true')).status).toBe(200)
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: false })
  expect((await call('DELETE', '/zones/east')).status).toBe(200)
})

test('R36 forget is refused while the Zone is enabled, for very many rows without a declaration, and for non-administrators', async () => {
  await announce('east', 11)
  const forget = (zone: string, body: object = {}, headers = {}) =>
    call('POST', `/zones/${zone}/_forget`, body, headers)
  const enabled = await forget('east', { declared: true })
  expect([enabled.status, enabled.json.detail]).toEqual([409, 'the Zone "east" is enabled: delete it first'])
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: false })
  const many = await forget('east')
  expect(many.status).toBe(409)
  expect(many.json.detail).toMatch(/^zone "east" has 11 of 11 AvailableService, .*\?declared=true.*--yes-remove-many$/)
  expect((await forget('east', {}, remote)).status).toBe(403)
  expect((await forget('east', { declred: true })).status).toBe(400)
  expect(await forget('east', { declared: true })).toMatchObject({ status: 200, json: { zone: 'east', rows: 11 } })
  expect((await forget('east')).status).toBe(404)
  for (const zone of ['none', 'global']) expect((await forget(zone)).status).toBe(404)
  // A zone that returns sends all its rows again.
  await announce('east', 3)
  await call('DELETE', '/zones/east')
  expect(await forget('east')).toMatchObject({ status: 200, json: { rows: 3 } })
})

test('R24 keep returns 409 if the zone has no former rows, and needs an administrator', async () => {
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: true })
  const answer = await call('POST', '/zones/east/_keep')
  expect(answer.status).toBe(409)
  expect(answer.json.detail).toBe('nothing remains of a former store of zone "east"')
  expect((await call('POST', '/zones/east/_keep', {}, remote)).status).toBe(403)
  expect((await call('POST', '/zones/none/_keep')).status).toBe(404)
})

test('R25 a zone that never connected or has disconnected is not reported as current', async () => {
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: true })
  expect(await zoneStatus('east')).toMatchObject({ connected: false, current: false, holds: [], quarantined: [] })
  {
    await using _ = await joinZone('east')
    const status = await until(
      () => zoneStatus('east'),
      ({ current }) => current === true,
    )
    expect(status).toMatchObject({ connected: true, epoch: 1, lagRevisions: 0, lagMs: 0 })
  }
  const left = await until(
    () => zoneStatus('east'),
    ({ connected }) => connected === false,
  )
  expect(left).toMatchObject({
    current: false,
    lastEnd: { code: 'shutdown' },
    reason: expect.stringMatching(/stopped/),
  })
})

const identity = () => join(folder, 'identity.json')

test('R26 the identity of the store is in the data folder, readable only by its owner', async () => {
  const { clusterId } = (await call('GET', '/')).json
  expect(JSON.parse(readFileSync(identity(), 'utf8'))).toEqual({
    store: clusterId,
    role: 'global',
    madeAt: expect.stringMatching(/Z$/),
  })
  expect(statSync(identity()).mode & 0o777).toBe(0o600)
  await global.close()
  await start()
  expect((await call('GET', '/')).json.clusterId).toBe(clusterId)
})

test('R26 a global without its store refuses to serve at each start and names three ways out, and serves on request', async () => {
  const { clusterId } = (await call('GET', '/')).json
  await global.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(folder, `store.db${suffix}`), { force: true })
  const line = new RegExp(
    `^expected store ${clusterId}, which \\S+identity\\.json names .*, found a new and empty one \\(\\S+\\): ` +
      'restore a backup .*zonemesh global recover --from … --keys ….*--accept-new-store$',
  )
  for (let time = 0; time < 2; time += 1) await expect(start()).rejects.toThrow(line)
  await start('--accept-new-store')
  const now = (await call('GET', '/')).json.clusterId
  expect(now).not.toBe(clusterId)
  await global.close()
  await start()
  expect((await call('GET', '/')).json.clusterId).toBe(now)
})

test('R26 an identity file that cannot be read counts as another store', async () => {
  await global.close()
  writeFileSync(identity(), '{ "store": 1 }')
  await expect(start()).rejects.toThrow(/identity\.json to name the store of this data folder, found other fields/)
  await start('--accept-new-store')
})
