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

beforeEach(async () => {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports], {})
  if (!read.ok) throw new Error(read.error.message)
  global = await startGlobal(env, read.value.values, globalOptions)
})
afterEach(() => global.close())

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, text }
}

const writeZone = (name: string, limits?: object) =>
  call('PUT', `/zones/${name}`, { type: 'Zone', name, ...(limits ? { limits } : {}) })

async function join(zone: string, limits?: object) {
  const request = { zone, scope: ['cp'], validFor: '1h', ...(limits ? { limits } : {}) }
  const token = (await call('POST', '/tokens/zone', request)).text.trim()
  const store = createMemoryStore(env, { horizonRevisions: 1000 })
  return { store, uplink: startBareZone(global, { zone, token, store, isServing: true }) }
}

const announce = (mesh: string, service: string): Change => ({
  op: 'put',
  key: { origin: 'east', kind: 'AvailableService', mesh, name: `${mesh}-${service}` },
  labels: {},
  spec: { tags: { 'kuma.io/service': service, 'kuma.io/zone': 'east' }, instances: 1 },
})

async function until<T>(ask: () => Promise<T> | T, expected: unknown): Promise<void> {
  await expect.poll(ask, { timeout: 10_000, interval: 5 }).toEqual(expected)
}

test('Z28 a zone announces only the meshes and services that its Zone allows: other announcements reach no zone and are in the status, and new limits apply at once', async () => {
  await writeZone('west')
  await writeZone('east', { meshes: ['shop'], services: ['web*'] })
  await using stack = new AsyncDisposableStack()
  const [east, west] = [await join('east'), await join('west')]
  stack.use(east.uplink)
  stack.use(west.uplink)
  const seen = async () => (await west.store.scan({ kind: 'AvailableService' })).map(({ key }) => key.name)
  const refused = async () => {
    const { zones } = JSON.parse((await call('GET', '/_status')).text)
    const found = zones.find(({ zone }: { zone: string }) => zone === 'east').refused ?? []
    return found.map(({ key, reason }: { key: string; reason: string }) => `${key}: ${reason}`)
  }
  const changes = [announce('shop', 'web-1'), announce('shop', 'payment'), announce('bank', 'web-1')]
  await east.store.commit({ changes, subject: 'test', intent: 'announce' })
  await until(seen, ['shop-web-1'])
  await until(refused, [
    'east/AvailableService/bank/bank-web-1: the Zone limits its meshes to shop, found bank',
    'east/AvailableService/shop/shop-payment: the Zone limits its services to web*, found payment',
  ])

  await writeZone('east', { meshes: ['shop', 'bank'] })
  await until(seen, ['bank-web-1', 'shop-payment', 'shop-web-1'])
  await until(refused, [])
  await writeZone('east', { meshes: ['bank'] })
  await until(seen, ['bank-web-1'])
  await writeZone('east')
  await until(seen, ['bank-web-1', 'shop-payment', 'shop-web-1'])
})

test('Z28 a token with limits opens no session while its Zone allows more', async () => {
  await writeZone('east', { meshes: ['shop', 'bank'] })
  await using stack = new AsyncDisposableStack()
  const { uplink } = await join('east', { meshes: ['shop'] })
  stack.use(uplink)
  await until(() => uplink.state.value.phase, 'refused')
  expect(uplink.state.value.reason).toMatch(/limits \{"meshes":\["shop"\]\}, and the Zone "east" allows more/)
  await writeZone('east', { meshes: ['shop'], services: ['web'] })
  await until(() => uplink.state.value.phase, 'connected')
})
