import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { changeRoute } from '@zonemesh/cli/demo/prove.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
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
  untilLogged,
  zonemesh,
} from '../e2e/rig.ts'
import { readPage } from './rig.ts'

/** The documentation page for moving a global: the test runs its commands with the addresses of this scene. */
const page = readPage('docs/when-the-global-moves.md')

let scene: Scene
beforeAll(async () => {
  scene = await startScene(31)
})
afterAll(() => scene[Symbol.asyncDispose]())

/** The virtual addresses that a zone answers with, by name. */
async function addressesOf(address: string): Promise<readonly string[]> {
  const { rows } = (await api(address).need('GET', '/_sight')).json as {
    // The zone answers with rows.
    readonly rows: readonly { readonly key: { readonly kind: string; readonly name: string }; readonly spec: unknown }[]
  }
  return rows
    .filter(({ key }) => key.kind === 'VirtualAddress')
    .map(({ key, spec }) => `${key.name} ${JSON.stringify(spec)}`)
    .sort()
}

test('F31 zones move to another global one after the other under load: no request fails, no address changes, and changes of the new global apply', async () => {
  const { demo, folder } = scene
  const zones = ['east', 'west'] as const
  const before = await Promise.all(zones.map((zone) => addressesOf(demo.zones[zone].apiAddress)))
  expect(before.flat().length).toBeGreaterThan(0)
  await using load = startTraffic(() => throughGateway(demo, '/echo'), 2)
  await load.more(50)

  // The other global has the rows of the zones and the keys of the first global, which still runs.
  const keys = join(folder.path, 'copy-of-recovery.keys')
  copyFileSync(join(demo.folder, 'global/recovery.keys'), keys)
  const dataDir = join(folder.path, 'other')
  const told = await page.type(
    'zonemesh global recover --from http://east.example:5681,http://west.example:5681 --token-file admin.token --keys /a/safe/place/recovery.keys --data-dir ./global',
    ...['global', 'recover', '--from', zones.map((zone) => demo.zones[zone].apiAddress).join(',')],
    ...['--token-file', demo.adminTokenFile, '--keys', keys, '--data-dir', dataDir],
  )
  expect(told).toMatch(/^MeshRoot +1 +the keys file$/m)
  const [apiPort, syncPort] = await freePorts(systemRandom, 2)
  const ports = ['--api-port', `${apiPort}`, '--sync-port', `${syncPort}`, '--api-tls-port', '0', '--health-port', '0']
  page.line('zonemesh global --data-dir ./global')
  demo.processes.startOwn('other', ['global', '--data-dir', dataDir, '--host', local, ...ports])
  const other = `http://${local}:${apiPort}`
  await until(
    'the other global answers',
    () => api(other).call('GET', '/'),
    ({ status }) => status === 200,
  )

  for (const zone of zones) {
    // The operator only puts a new join string into the file of the zone and releases it.
    page.line('zonemesh token zone east --join-address new.example:5685 --out east.join')
    const file = join(demo.folder, `${zone}.join`)
    const given = ['--address', other, '--join-address', `${local}:${syncPort}`, '--out', file]
    const { code, stderr } = await zonemesh('token', 'zone', zone, ...given)
    const works = `this string works on this machine only: ${local}:${syncPort} is a loopback address`
    const holds = `the join string holds https://${local}:${syncPort}`
    expect([code, stderr]).toEqual([0, `${holds}\n${works}\nwritten to ${file}\n`])
    page.line('zonemesh status')
    const held = await until(
      `${zone} waits for a word`,
      () => zonemesh('status', '--address', other),
      ({ stdout }) => new RegExp(`^held in ${zone}: `, 'm').test(stdout),
    )
    expect(held.stdout).not.toContain('rows would be removed')
    await load.more(50)
    await page.type('zonemesh zone release east', 'zone', 'release', zone, '--address', other)
    await until(
      `${zone} is current there`,
      () => statusOf(other),
      (status) => status.zones.some((one) => one.zone === zone && one.current),
    )
    await load.more(50)
  }
  await demo.processes.kill('global', 'SIGTERM')
  await changeRoute({ ...demo, global: api(other), globalAddress: other }, demo.names.version2)
  expect(await Promise.all(zones.map((zone) => addressesOf(demo.zones[zone].apiAddress)))).toEqual(before)
  await load.more(100)
  expect((await load.stop()).failures).toEqual([])
  // No proxy had to start again.
  const logs = await Promise.all(
    ['gateway-1', 'shop-1'].map((name) => untilLogged(join(demo.folder, `${name}.log`), /./)),
  )
  for (const log of logs) expect(log.match(/the proxy is started/g)).toHaveLength(1)
})

test('F31 this test ran every command of docs/when-the-global-moves.md', () => {
  expect(page.untyped()).toEqual([])
})
