import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningGlobal, startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { startBareZone } from './bare-zone.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
let global: RunningGlobal
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), 'quotas-'))
})
afterEach(async () => {
  await global.close()
  await rm(folder, { recursive: true })
})

async function start(...settings: readonly string[]): Promise<void> {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', '--data-dir', folder, ...ports, ...settings], {})
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

const createZone = () => ({ store: createMemoryStore(env, { horizonRevisions: 1000 }) })

async function connect({ store }: ReturnType<typeof createZone>, zone = 'east') {
  await call('PUT', `/zones/${zone}`, { type: 'Zone', name: zone })
  const token = (await call('POST', '/tokens/zone', { zone, scope: ['cp'], validFor: '1h' })).trim()
  return startBareZone(global, { zone, token, store, isServing: true })
}

const dataplane = (name: string, bytes = 10): Change => ({
  op: 'put',
  key: { origin: 'east', kind: 'Dataplane', mesh: 'default', name },
  labels: {},
  spec: {
    networking: { address: '10.0.0.1', inbound: [{ port: 80, tags: { 'kuma.io/service': 'x'.repeat(bytes) } }] },
  },
})
const removed = (name: string): Change => ({ op: 'delete', key: dataplane(name).key })

/** The names of the rows that the global has, as the zone wrote them. */
async function stored(): Promise<readonly string[]> {
  const { items } = JSON.parse(await call('GET', '/meshes/default/dataplanes'))
  return items.map(({ labels }: { labels: Record<string, string> }) => labels['kuma.io/display-name'])
}

async function refused(): Promise<readonly string[]> {
  const { zones } = JSON.parse(await call('GET', '/_status'))
  const found = zones.find(({ zone }: { zone: string }) => zone === 'east').refused ?? []
  return found.map(({ key, reason }: { key: string; reason: string }) => `${key.split('/').at(-1)}: ${reason}`)
}

async function until<T>(ask: () => Promise<T> | T, expected: unknown): Promise<void> {
  await expect.poll(ask, { timeout: 10_000, interval: 5 }).toEqual(expected)
}

const write = (zone: ReturnType<typeof createZone>, changes: readonly Change[]) =>
  zone.store.commit({ changes, subject: 'test', intent: 'write' })

test('Z31 rows of a zone above its quota are refused, one by one: those that it has are still updated, and all come when there is room', async () => {
  await start('--zone-rows-max', '3')
  const zone = createZone()
  await using _uplink = await connect(zone)
  await write(
    zone,
    ['a', 'b', 'c'].map((name) => dataplane(name)),
  )
  await until(stored, ['a', 'b', 'c'])
  await write(zone, [dataplane('d'), dataplane('b', 20)])
  await until(refused, ['d: the zone may have 3 rows (--zone-rows-max)'])
  expect(await stored()).toEqual(['a', 'b', 'c'])
  expect(await call('GET', '/meshes/default/dataplanes')).toContain('x'.repeat(20))

  // A full zone that replaces one row by another in the same round stays within its quota.
  await write(zone, [removed('a'), dataplane('e')])
  await until(stored, ['b', 'c', 'e'])
  await write(zone, [removed('b')])
  await until(stored, ['c', 'd', 'e'])
  await until(refused, [])
})

test('Z31 a restart forgets no refused row: with a larger quota the zone sends it again', async () => {
  await start('--zone-rows-max', '1')
  const zone = createZone()
  const first = await connect(zone)
  await write(zone, [dataplane('a'), dataplane('b')])
  await until(refused, ['b: the zone may have 1 rows (--zone-rows-max)'])
  await first[Symbol.asyncDispose]()
  await global.close()
  await start('--zone-rows-max', '10')
  await using _uplink = await connect(zone)
  await until(stored, ['a', 'b'])
})

test('Z31 the bytes of all rows are limited too: a row that grows above the quota is removed, and a single row that is too large is not asked for again', async () => {
  await start('--zone-bytes-max', '3000')
  const zone = createZone()
  await using uplink = await connect(zone)
  await write(zone, [dataplane('a', 500), dataplane('b', 500), dataplane('large', 4000)])
  await until(stored, ['a', 'b'])
  await until(refused, [
    expect.stringMatching(/^large: the rows of the zone may have 3000 bytes \(--zone-bytes-max\), found \d{4}$/),
  ])
  const epoch = JSON.parse(await call('GET', '/_status')).zones[0].epoch
  await write(zone, [dataplane('a', 2500)])
  await until(stored, ['b'])
  await write(zone, [dataplane('a', 501)])
  await until(stored, ['a', 'b'])
  expect(JSON.parse(await call('GET', '/_status')).zones[0].epoch).toBe(epoch)
  expect(uplink.state.value.phase).toBe('connected')
})

test('Z31 the figures show what each zone has stored and what was refused', async () => {
  await start('--zone-rows-max', '2')
  const zone = createZone()
  await using _uplink = await connect(zone)
  await write(
    zone,
    ['a', 'b', 'c'].map((name) => dataplane(name)),
  )
  await until(refused, ['c: the zone may have 2 rows (--zone-rows-max)'])
  const text = await (await fetch(`http://127.0.0.1:${global.healthPort}/metrics`)).text()
  expect(text).toMatch(/^zonemesh_zone_rows\{zone="east"\} 2$/m)
  expect(text).toMatch(/^zonemesh_zone_bytes\{zone="east"\} [1-9]\d+$/m)
  expect(text).toMatch(/^zonemesh_zone_rows_refused\{zone="east"\} 1$/m)
})
