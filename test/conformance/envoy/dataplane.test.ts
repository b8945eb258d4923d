import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DataplaneConfig } from '@zonemesh/dataplane/contract.ts'
import { type Dataplane, startDataplane } from '@zonemesh/dataplane/dataplane.ts'
import { partAddress } from '@zonemesh/dataplane/part.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assignment, cluster, listener, route, table } from './resources.ts'
import { fetchText, freePort, probe, startUpstream, startZone, until, type Zone } from './rig.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dataplane-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const resourceYaml = `type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: localhost
  inbound:
  - port: 10080
    tags: { kuma.io/service: web }
`

interface Running extends AsyncDisposable {
  readonly dataplane: Dataplane
  stop(): Promise<void>
}

async function start(zone: Zone, name: string, change: Partial<DataplaneConfig> = {}): Promise<Running> {
  const stopped = new AbortController()
  const deps = {
    clock: systemClock,
    log: silentLog,
    random: systemRandom,
    env: process.env,
    progress: () => {},
    envoyOutput: () => {},
  }
  const config: DataplaneConfig = {
    proxyType: 'dataplane',
    source: { type: 'resource', yaml: resourceYaml, variables: { name } },
    address: `https://127.0.0.1:${zone.server.port}`,
    trust: { type: 'authority', pem: zone.certificate.certificate },
    workDir: join(folder, name),
    concurrency: 1,
    drainMs: 100,
    dns: { enabled: true, port: 15053 },
    ...change,
  }
  const dataplane = await startDataplane(deps, config, stopped.signal)
  const stop = async () => {
    stopped.abort()
    await dataplane.done
  }
  return { dataplane, stop, [Symbol.asyncDispose]: stop }
}

const namesTable = (addresses: Record<string, string[]>, revision = 1) => ({
  store: 's',
  revision,
  ttlSeconds: 30,
  domain: 'mesh',
  addressesByName: new Map(Object.entries(addresses)),
})

const ask = (name: string, at: Dataplane['resolver']) =>
  resolve(name, at ?? { host: '', port: 0 }, AbortSignal.timeout(5_000)).then((answer) => answer.addresses.join())

test('P10 two proxies on one host claim different ranges, register, serve names, and keep both through a restart', async () => {
  await using zone = await startZone({ token: 'secret' })
  zone.table.set(table(1, {}))
  zone.names.set(namesTable({ 'web.mesh': ['127.128.0.9'] }))
  await using one = await start(zone, 'one', { token: 'secret' })
  await using two = await start(zone, 'two', { token: 'secret' })
  const parts = [one.dataplane.part, two.dataplane.part]
  expect(new Set(parts).size).toBe(2)
  expect(one.dataplane.resolver).toEqual({ host: partAddress(parts[0] ?? -1, 1), port: 15053 })
  await until('both are ready', async () => (await one.dataplane.isReady()) && (await two.dataplane.isReady()))
  const [first] = zone.streams
  expect(zone.streams.map(({ proxy }) => proxy.name).sort()).toEqual(['one', 'two'])
  expect(first?.facts.part).toBeTypeOf('number')
  expect(first?.resource?.['networking']).toMatchObject({ address: '127.0.0.1' })
  await until('a name is served', async () => (await ask('WEB.mesh', one.dataplane.resolver)) === '127.128.0.9')
  zone.names.set(namesTable({ 'api.mesh': ['127.128.0.10', '127.128.0.11'] }, 2))
  await until(
    'a change is served',
    async () => (await ask('api.mesh', one.dataplane.resolver)) === '127.128.0.10,127.128.0.11',
  )
  expect(await ask('web.mesh', one.dataplane.resolver)).toBe('')
  await one.stop()
  expect(zone.events).toContain('draining one')
  expect(JSON.parse(await readFile(join(folder, 'one/names.json'), 'utf8'))).toMatchObject({ revision: 2 })
})

test('P11 a proxy serves without its zone, and reconnects with the same range and names', async () => {
  await using zone = await startZone()
  await using upstream = await startUpstream('a')
  const port = await freePort()
  zone.names.set(namesTable({ 'web.mesh': ['127.128.0.9'] }))
  zone.table.set(
    table(1, {
      cluster: [cluster('A')],
      assignment: [assignment('A', [upstream.port])],
      route: [route('r', 'A')],
      listener: [listener('L', port, { routes: 'r' })],
    }),
  )
  const former = await start(zone, 'one')
  await until(
    'names and requests are served',
    async () => (await ask('web.mesh', former.dataplane.resolver)) !== '' && (await probe(port)) === 'a',
  )
  const { part } = former.dataplane
  await former.stop()
  await using again = await start(zone, 'one')
  expect(again.dataplane.part).toBe(part)
  expect(await ask('web.mesh', again.dataplane.resolver)).toBe('127.128.0.9')
  await until('it serves again', async () => (await probe(port)) === 'a')
  await zone.server[Symbol.asyncDispose]()
  expect(await ask('web.mesh', again.dataplane.resolver)).toBe('127.128.0.9')
  expect(await probe(port)).toBe('a')
})

test('P12 a killed Envoy is started again, and the zone receives the exit', async () => {
  await using zone = await startZone()
  zone.table.set(table(1, {}))
  const readinessPort = await freePort()
  await using one = await start(zone, 'one', { readinessPort, dns: { enabled: false, port: 0 } })
  expect(one.dataplane.part).toBeUndefined()
  await until('the session is open', () => one.dataplane.connected && one.dataplane.isReady())
  const pid = one.dataplane.envoyPid
  process.kill(pid ?? 0, 'SIGKILL')
  await until('the zone hears of it', () => zone.events.some((event) => event.startsWith('exited one')))
  await until('another one is ready', async () => one.dataplane.envoyPid !== pid && (await one.dataplane.isReady()))
  expect((await fetchText({ port: readinessPort, path: '/ready' })).body).toBe('READY')
})

test('P13 a pin is enough to trust the zone, and another pin is refused at once', async () => {
  await using zone = await startZone()
  zone.table.set(table(1, {}))
  const der = Buffer.from(zone.certificate.certificate.replaceAll(/-----.*-----|\s/g, ''), 'base64')
  const { createHash } = await import('node:crypto')
  const sha256 = createHash('sha256').update(der).digest('hex')
  const noDns = { dns: { enabled: false, port: 0 } }
  await using one = await start(zone, 'one', { trust: { type: 'pin', sha256 }, ...noDns })
  await until('it is ready', () => one.dataplane.isReady())
  const wrong = start(zone, 'two', { trust: { type: 'pin', sha256: '0'.repeat(64) }, ...noDns })
  await expect(wrong).rejects.toThrow(
    /^expected a certificate of \S+ that is signed by the authority with SHA-256 0{64}, which the join string names, found \{ subject CN=zonemesh test, /,
  )
})
