import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningGlobal, startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { startBareZone } from './bare-zone.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
let global: RunningGlobal
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-'))
})
afterEach(async () => {
  await global.close()
  await rm(folder, { recursive: true })
})

async function start(syncPort = 0): Promise<void> {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', `${syncPort}`]
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', '--data-dir', folder, ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  global = await startGlobal(env, read.value.values, globalOptions)
}

async function call(method: string, path: string, body?: unknown): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  return await response.text()
}

const scrape = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${global.healthPort}/metrics`)).text()

/** The value of a series; NaN if there is none. */
const figure = async (series: string): Promise<number> => {
  const line = (await scrape()).split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? Number.NaN)
}
const until = (series: string) => expect.poll(() => figure(series), { timeout: 10_000, interval: 10 })

async function zoneToken(zone: string): Promise<string> {
  await call('PUT', `/zones/${zone}`, { type: 'Zone', name: zone })
  return (await call('POST', '/tokens/zone', { zone, scope: ['cp'], validFor: '1h' })).trim()
}

const createZoneStore = () => createMemoryStore(env, { horizonRevisions: 1_000 })

async function connect(zone: string, token: string, store = createZoneStore()) {
  const uplink = startBareZone(global, { zone, token, store, isServing: true })
  await until(`zonemesh_zone_current{zone="${zone}"}`).toBe(1)
  return uplink
}

const timeout = (name: string) => ({
  ...{ type: 'Timeout', mesh: 'default', name, conf: { connectTimeout: '1s' } },
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
})
const write = (name: string) => call('PUT', `/meshes/default/timeouts/${name}`, timeout(name))

test('MT5 a commit that a zone stores and serves appears in the histograms of this zone, and of no other', async () => {
  await start()
  const tokens = { east: await zoneToken('east'), west: await zoneToken('west') }
  await using _east = await connect('east', tokens.east)
  const [stored, served] = ['zonemesh_commit_to_stored_seconds', 'zonemesh_commit_to_served_seconds']
  const before = Number.isNaN(await figure(`${served}_count{zone="east"}`)) ? 0 : 1
  await write('first')
  await until(`${served}_count{zone="east"}`).toBeGreaterThanOrEqual(before + 1)
  expect(await figure(`${stored}_count{zone="east"}`)).toBeGreaterThanOrEqual(before + 1)
  expect(await figure(`${served}_bucket{le="10",zone="east"}`)).toBe(await figure(`${served}_count{zone="east"}`))
  expect(await figure(`${served}_sum{zone="east"}`)).toBeGreaterThan(0)
  expect(await scrape()).not.toMatch(/zonemesh_commit_to_\w+\{[^}]*zone="west"/)
  expect(await figure('zonemesh_zone_connected{zone="west"}')).toBe(0)
  expect(await figure('zonemesh_zone_lag_revisions{zone="west"}')).toBeNaN()
  expect([await figure('zonemesh_zones'), await figure('zonemesh_zones_connected')]).toEqual([2, 1])
})

test('MT10 a zone that connects again is a reconnect, and a caller with a wrong token a refusal', async () => {
  await start()
  const token = await zoneToken('east')
  const store = createZoneStore()
  const first = await connect('east', token, store)
  expect(await figure('zonemesh_zone_reconnects_total{zone="east"}')).toBe(0)
  await first[Symbol.asyncDispose]()
  await until('zonemesh_zone_connected{zone="east"}').toBe(0)
  await using _second = await connect('east', token, store)
  expect(await figure('zonemesh_zone_sessions_total{zone="east"}')).toBe(2)
  expect(await figure('zonemesh_zone_reconnects_total{zone="east"}')).toBe(1)
  expect(await figure('zonemesh_sync_callers_refused_total')).toBe(0)
  await using _wrong = startBareZone(global, { zone: 'west', token: 'wrong', store: createZoneStore() })
  await until('zonemesh_sync_callers_refused_total').toBeGreaterThan(0)
  expect(await scrape()).not.toContain('zone="west"')
})

test('MT8 the series of a deleted Zone disappear, although this process remembers its status, and a new Zone has series again', async () => {
  await start()
  const tokens = { east: await zoneToken('east'), west: await zoneToken('west') }
  const east = await connect('east', tokens.east)
  await using _west = await connect('west', tokens.west)
  await write('first')
  await until('zonemesh_commit_to_served_seconds_count{zone="east"}').toBeGreaterThan(0)
  await east[Symbol.asyncDispose]()
  await until('zonemesh_zone_connected{zone="east"}').toBe(0)
  expect((await scrape()).match(/zone="east"/g)?.length).toBeGreaterThan(40)
  await call('DELETE', '/zones/east')
  await expect.poll(scrape).not.toContain('zone="east"')
  await write('second')
  expect(await scrape()).not.toContain('zone="east"')
  expect((await scrape()).match(/zone="west"/g)?.length).toBeGreaterThan(40)
  await zoneToken('east')
  await until('zonemesh_zone_enabled{zone="east"}').toBe(1)
})

test('MT9 a change that a zone holds is shown and counted, and so is its release', async () => {
  const [port = 0] = await freePorts(systemRandom, 1)
  await start(port)
  const token = await zoneToken('east')
  const names = Array.from({ length: 20 }, (_, index) => `t${index}`)
  for (const name of names) await write(name)
  const zoneStore = createZoneStore()
  await using _east = await connect('east', token, zoneStore)
  await global.close()
  // A commit outside of the API, which would require that so many removals are declared.
  const store = await openSqliteStore(env, { path: join(folder, 'store.db') })
  const changes = names.map((name): Change => {
    return { op: 'delete', key: { origin: 'global', kind: 'Timeout', mesh: 'default', name } }
  })
  await store.commit({ changes, subject: 'test', intent: 'remove all' })
  await store.close()
  await start(port)
  await until('zonemesh_zone_changes_held{zone="east"}').toBe(1)
  expect(await figure('zonemesh_zone_holds_total{zone="east"}')).toBe(1)
  expect(await figure('zonemesh_zone_current{zone="east"}')).toBe(0)
  expect(await figure('zonemesh_zone_releases_total{zone="east"}')).toBe(0)
  await call('POST', '/zones/east/_release')
  await until('zonemesh_zone_changes_held{zone="east"}').toBe(0)
  expect(await figure('zonemesh_zone_releases_total{zone="east"}')).toBe(1)
  expect(await figure('zonemesh_zone_holds_total{zone="east"}')).toBe(1)
  await until('zonemesh_zone_current{zone="east"}').toBe(1)
})

test('MT15 no label holds a token, a key, the name of a proxy or a text of a caller', async () => {
  await start()
  const token = await zoneToken('east')
  const store = createZoneStore()
  await using _east = await connect('east', token, store)
  const key = { origin: 'east', kind: 'Dataplane', mesh: 'default', name: 'secret-proxy' }
  const networking = { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'secret-service' } }] }
  const changes: readonly Change[] = [{ op: 'put', key, labels: {}, spec: { networking } }]
  await store.commit({ changes, subject: 'secret-subject', intent: 'secret-intent' })
  await until('zonemesh_zone_rows{zone="east"}').toBeGreaterThan(0)
  await call('PUT', '/meshes/default/secrets/secret-name', { type: 'Secret', mesh: 'default', name: 'secret-name' })
  await call('GET', '/secret-path?token=secret-query')
  await until('zonemesh_api_requests_total{method="any",route="none",status="404"}').toBe(1)
  const text = await scrape()
  expect(text).not.toMatch(/secret-/)
  for (const hidden of [token, global.adminKey, global.pin, folder]) expect(text).not.toContain(hidden)
})

test('MT16 a scrape reads no store', async () => {
  await start()
  const token = await zoneToken('east')
  await using _east = await connect('east', token)
  const reads = async (): Promise<number> => {
    const counts = (await scrape()).matchAll(/_count\{operation="\w+"\} (\d+)$/gm)
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
  }
  const before = await reads()
  expect(before).toBeGreaterThan(10)
  for (let turn = 0; turn < 300; turn += 1) await scrape()
  // The plane itself reads now and then meanwhile.
  expect((await reads()) - before).toBeLessThan(100)
})
