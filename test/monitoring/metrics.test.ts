import { type RunningGlobal, startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { type Declaration, declarations } from '@zonemesh/plane/metrics/declarations.ts'
import { createMetrics, type Metrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { Join } from '@zonemesh/shared/auth/join.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { zoneOptions } from '@zonemesh/zone/options.ts'
import { type RunningZone, startZone } from '@zonemesh/zone/zone.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { promtool } from './promtool.ts'

const env = { clock: systemClock, random: systemRandom, log: silentLog }
const local = ['--host', '127.0.0.1', '--api-port', '0', '--api-tls-port', '0', '--health-port', '0']
const zonePorts = ['--proxy-port', '0', '--dns-port', '0']
let stack: AsyncDisposableStack

beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(() => stack[Symbol.asyncDispose]())

const scrape = async ({ healthPort }: { readonly healthPort: number }): Promise<string> =>
  await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text()

async function startOwnGlobal(): Promise<RunningGlobal> {
  const read = readOptions(globalOptions, [...local, '--sync-port', '0'], {})
  if (!read.ok) throw new Error(read.error.message)
  const global = await startGlobal(env, read.value.values, globalOptions)
  stack.defer(() => global.close())
  return global
}

async function startOwnZone(join: Join | undefined): Promise<RunningZone> {
  const named = join === undefined ? ['--name', 'home'] : []
  const read = readOptions(zoneOptions, [...local, ...zonePorts, ...named], {})
  if (!read.ok) throw new Error(read.error.message)
  const zone = await startZone(env, read.value.values, join, zoneOptions)
  stack.defer(() => zone.close())
  return zone
}

/** A zone that has joined the global and is current. */
async function joinZone(global: RunningGlobal): Promise<RunningZone> {
  const api = async (method: string, path: string, body: unknown): Promise<string> => {
    const headers = { 'content-type': 'application/json' }
    const url = `http://127.0.0.1:${global.apiPort}${path}`
    return await (await fetch(url, { method, headers, body: JSON.stringify(body) })).text()
  }
  await api('PUT', '/zones/east', { type: 'Zone', name: 'east' })
  const token = (await api('POST', '/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })).trim()
  const zone = await startOwnZone({ address: `https://127.0.0.1:${global.syncPort}`, token, pin: global.pin })
  await api('PUT', '/meshes/other', { type: 'Mesh', name: 'other' })
  await expect
    .poll(() => scrape(global), { timeout: 20_000 })
    .toMatch(/^zonemesh_commit_to_served_seconds_count\{zone="east"\} [1-9]/m)
  return zone
}

const expectAccepted = (text: string): void =>
  expect(promtool(['check', 'metrics'], text)).toEqual({ code: 0, output: '' })

test('MT3 MT21 the metrics of a global, of its zone and of a standalone zone pass promtool without a complaint', async () => {
  const global = await startOwnGlobal()
  const east = await joinZone(global)
  const home = await startOwnZone(undefined)
  for (const port of [east.dnsPort, home.dnsPort]) {
    await resolve('nothing.mesh', { host: '127.0.0.1', port }, new AbortController().signal)
  }
  const texts = { global: await scrape(global), zone: await scrape(east), standalone: await scrape(home) }
  for (const text of Object.values(texts)) expectAccepted(text)
  expect(texts.zone).toMatch(/^zonemesh_uplink_current 1$/m)
  expect(texts.zone).toMatch(/^zonemesh_leader\{plane="east"\} 1$/m)
  expect(texts.global).toMatch(/^zonemesh_leads_total\{plane="global"\} 1$/m)
  expect(texts.zone).toMatch(/^zonemesh_compile_duration_seconds_count [1-9]/m)
  expect(texts.zone).toMatch(/^zonemesh_dns_answers_total\{rcode="nxdomain"\} 1$/m)
  expect(texts.zone).toMatch(/^zonemesh_store_operation_duration_seconds_count\{operation="commit"\} [1-9]/m)
  expect(texts.zone).toMatch(/^zonemesh_store_durable 0$/m)
  expect(texts.standalone).toMatch(/^zonemesh_proxies_connected 0$/m)
  expect(texts.standalone).not.toContain('zonemesh_uplink')
  expect(texts.standalone).not.toContain('zonemesh_zone')
  expect(texts.zone).not.toContain('zonemesh_zones')
})

test('MT3 promtool accepts every declared metric with a series of its own', async () => {
  for (const role of ['global', 'zone', 'standalone'] as const) {
    const metrics = createMetrics(role)
    fillAll(metrics)
    const text = await metrics.text()
    expectAccepted(text)
    const without = [...text.matchAll(/^# TYPE (\S+)/gm)].filter(
      ([, name = '']) => !new RegExp(`^${name}(_count)?(\\{.*\\})? `, 'm').test(text),
    )
    expect(without).toEqual([])
  }
})

/** Gives every metric of a plane a series: names and labels come from the declarations, so their types are not known. */
function fillAll(metrics: Metrics): void {
  const any = metrics as unknown as Record<'count' | 'set' | 'observe', (...given: readonly unknown[]) => void>
  for (const [name, { type, labels, roles }] of Object.entries<Declaration>(declarations)) {
    if (!roles.includes(metrics.role)) continue
    const values = Object.fromEntries(labels.map((label) => [label, 'x']))
    any[type === 'counter' ? 'count' : type === 'gauge' ? 'set' : 'observe'](name, values, 1)
  }
}

test('MT3 promtool complains about a metric without a help text, and about a gauge that is named as a counter', () => {
  const noHelp = promtool(['check', 'metrics'], '# TYPE zonemesh_x_total counter\nzonemesh_x_total 1\n')
  expect(noHelp).toEqual({ code: 3, output: 'zonemesh_x_total no help text' })
  const named = '# HELP zonemesh_y_total Y\n# TYPE zonemesh_y_total gauge\nzonemesh_y_total 1\n'
  expect(promtool(['check', 'metrics'], named).output).toContain('non-counter metrics should not have "_total" suffix')
})
