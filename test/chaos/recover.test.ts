import { copyFileSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { changeRoute } from '@zonemesh/cli/demo/prove.ts'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  api,
  local,
  type Scene,
  startScene,
  startTraffic,
  statusOf,
  throughGateway,
  until,
  untilBothCurrent,
  untilLogged,
  zonemesh,
} from '../e2e/rig.ts'
import { readPage } from './rig.ts'

/** The documentation page for this situation: the test runs its commands with the addresses of this scene. */
const page = readPage('docs/when-the-global-is-lost.md')

let scene: Scene
let demo: Demo
beforeAll(async () => {
  scene = await startScene(32)
  demo = scene.demo
})
afterAll(() => scene[Symbol.asyncDispose]())

const dataDir = () => join(demo.folder, 'global')
const copyOfKeys = () => join(demo.folder, 'copy-of-recovery.keys')
const paths = [
  'meshes',
  'zones',
  'meshgateways',
  'meshgatewayroutes',
  'timeouts',
  'traffic-permissions',
  'global-secrets',
]

/** All resources written by users, as the global shows them, without times, which are those of the store. */
async function written(): Promise<unknown> {
  const lists = await Promise.all(paths.map((path) => demo.global.need('GET', `/${path}`)))
  return lists.map(({ json }) =>
    // The plane answers with its own list type.
    (json as { items: JsonObject[] }).items.map(({ creationTime, modificationTime, ...rest }) => rest),
  )
}

interface HeldRow {
  readonly key: { readonly kind: string; readonly mesh: string }
  readonly spec: { readonly roots: string; readonly certificate: string }
}
/** The authorities of meshes that a zone uses. */
async function authoritiesOf(address: string): Promise<readonly HeldRow['spec'][]> {
  // The zone answers with rows.
  const { rows } = (await api(address).need('GET', '/_rows')).json as { rows: HeldRow[] }
  return rows.filter(({ key }) => key.kind === 'AuthorityCertificate').map(({ spec }) => spec)
}

test('F32 the global is lost for good: it is rebuilt from a zone and a file, and no request fails in the meantime', async () => {
  await untilBothCurrent(demo.globalAddress)
  const keysFile = join(dataDir(), 'recovery.keys')
  expect(statSync(keysFile).mode & 0o777).toBe(0o600)
  page.line('cp global/recovery.keys /a/safe/place/recovery.keys')
  copyFileSync(keysFile, copyOfKeys())
  const before = { written: await written(), store: (await statusOf(demo.globalAddress)).store }
  const adminToken = readFileSync(demo.adminTokenFile, 'utf8').trim()
  const roots = await authoritiesOf(demo.zones.west.apiAddress)
  expect(roots).toHaveLength(1)

  await using load = startTraffic(() => throughGateway(demo, '/echo'), 2)
  await load.more(50)
  const again = await demo.processes.kill('global', 'SIGKILL')
  const lostAtMs = performance.now()
  rmSync(dataDir(), { recursive: true })
  await load.more(50)

  const addresses = [demo.zones.east.apiAddress, demo.zones.west.apiAddress]
  const told = await page.type(
    'zonemesh global recover --from http://east.example:5681,http://west.example:5681 --token-file admin.token --keys /a/safe/place/recovery.keys --data-dir ./global',
    ...['global', 'recover', '--from', addresses.join(','), '--token-file', demo.adminTokenFile],
    ...['--keys', copyOfKeys(), '--data-dir', dataDir()],
  )
  expect(told).toMatch(/^Mesh +1 +zone (east|west)$/m)
  expect(told).toMatch(/^MeshRoot +1 +the keys file$/m)
  expect(told).toMatch(/^AuthorityCertificate +1 +zone east$/m)
  expect(told).toMatch(/^AuthorityCertificate +1 +zone west$/m)
  expect(told).toMatch(/^zone (east|west) was furthest, at revision \d+ of the lost store \S+$/m)
  expect(told.match(/^missing: /gm)).toHaveLength(1)

  page.line('zonemesh global --data-dir ./global')
  again()
  await until(
    'the global answers',
    () => demo.global.call('GET', '/'),
    ({ status }) => status === 200,
  )
  expect((await statusOf(demo.globalAddress)).store).toBe(before.store)
  // Zones accept no changes from it without a decision.
  for (const zone of ['east', 'west']) {
    await until(
      `${zone} holds`,
      () => zonemesh('status', '--address', demo.globalAddress),
      ({ stdout }) => new RegExp(`^held in ${zone}: the store of the global .*; release it with`, 'm').test(stdout),
    )
    page.line('zonemesh status')
    await page.type(`zonemesh zone release ${zone}`, 'zone', 'release', zone, '--address', demo.globalAddress)
  }
  await untilBothCurrent(demo.globalAddress)
  const tookMs = performance.now() - lostAtMs
  expect(tookMs).toBeLessThan(300_000)

  expect(await written()).toEqual(before.written)
  // Tokens issued before are still valid: those of users, of zones (which are connected), of proxies (below).
  const answer = await fetch(`${demo.globalAddress}/who-am-i`, {
    headers: { authorization: `Bearer ${adminToken}`, 'x-real-ip': local },
  })
  expect([answer.status, (await answer.json()) as unknown]).toMatchObject([200, { name: 'demo' }])
  // The same root and the same intermediate: no proxy needed an update.
  expect(await authoritiesOf(demo.zones.west.apiAddress)).toEqual(roots)

  // Proxies of both zones continue and accept changes from the new global.
  await changeRoute(demo, demo.names.version2)
  await changeRoute(demo, demo.names.version1)
  await load.more(100)
  const { requests, failures } = await load.stop()
  expect(failures).toEqual([])
  expect(requests).toBeGreaterThan(200)
})

test('F32 a proxy that starts again is admitted with its former token', async () => {
  const again = await demo.processes.kill('client-1', 'SIGTERM')
  again()
  await until(
    'the proxy is connected',
    async () => (await statusOf(demo.zones.east.apiAddress)).proxies,
    (proxies) => proxies.some(({ proxy, state }) => proxy.endsWith('/client-1') && state === 'connected'),
  )
})

test('V8 the recovery file is written again beside the new store, with the same keys', async () => {
  await untilLogged(join(demo.folder, 'global.log'), /wrote the recovery file/)
  const keys = (path: string): JsonObject => JSON.parse(readFileSync(path, 'utf8'))
  const [copy, next] = [keys(copyOfKeys()), keys(join(dataDir(), 'recovery.keys'))]
  for (const field of ['store', 'sealKey', 'authority']) expect(next[field]).toEqual(copy[field])
  expect(Number(next['incarnation'])).toBeGreaterThan(Number(copy['incarnation']))
})

test('V9 recover overwrites nothing, and a wrong file is reported in one sentence', async () => {
  const recover = async (...args: readonly string[]) => {
    const from = ['--from', demo.zones.east.apiAddress]
    const { code, stderr } = await zonemesh('global', 'recover', ...from, ...args)
    return [code, stderr]
  }
  const elsewhere = join(demo.folder, 'elsewhere')
  expect(await recover('--keys', copyOfKeys(), '--data-dir', dataDir())).toEqual([
    1,
    `zonemesh global recover: expected ${dataDir()} to be empty or absent, found files in it: move them away first\n`,
  ])
  const wrong = scene.folder.file('wrong.keys', '{"format": 7}')
  expect(await recover('--keys', wrong, '--data-dir', elsewhere)).toEqual([
    1,
    `zonemesh global recover: ${wrong}: expected a recovery file of format 1, found another value at "format"\n`,
  ])
  const other = JSON.parse(readFileSync(copyOfKeys(), 'utf8'))
  const foreign = scene.folder.file('foreign.keys', JSON.stringify({ ...other, store: 'another' }))
  const [code, stderr] = await recover('--keys', foreign, '--data-dir', elsewhere)
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/expected zone east to have rows of the store .* another, found rows of/),
  ])
  expect(existsSync(elsewhere)).toBe(false)
})

test('E30 these tests ran every command of docs/when-the-global-is-lost.md', () => {
  expect(page.untyped()).toEqual([])
})
