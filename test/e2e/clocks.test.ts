import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findFaketime } from '@zonemesh/cli/chaos/faults/faults.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'

let folder: Folder
let processes: Processes
let ports: number[] = []
const port = (): number => ports.pop() ?? 0

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  ports = await freePorts(systemRandom, 12)
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

/** The environment of a process whose wall clock is ahead by this number of seconds. */
function ahead(seconds: number): NodeJS.ProcessEnv {
  const library = findFaketime(undefined)
  if (library === undefined)
    throw new Error('this test needs libfaketime, found none: install it, e.g. with `apt-get install libfaketime`')
  return { ...process.env, LD_PRELOAD: library, FAKETIME: `+${seconds}`, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
}

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']
const untilAnswers = (address: string) =>
  until(
    `${address} answers`,
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )

test('E47 a control plane that was started with a clock ahead replaces its server certificate, and names each authority that is not valid yet with the remedy', async () => {
  const apiPort = port()
  const address = `http://${local}:${apiPort}`
  const dataDir = join(folder.path, 'early')
  const args = ['zone', '--name', 'early', '--data-dir', dataDir, ...anyPorts]
  const more = ['--api-port', `${apiPort}`, '--proxy-port', '0', '--dns-port', '0']
  processes.startOwn('zone-early', [...args, ...more], ahead(7_200))
  await untilAnswers(address)
  const mtls = { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] }
  const reply = await api(address).need('PUT', '/meshes/default', { type: 'Mesh', name: 'default', mtls })
  // The root, the request of the zone and its answer follow the Mesh, each in a separate commit.
  const written = Number(/@(\d+)\./.exec(String(reply.headers['zonemesh-revision']))?.[1])
  await until(
    'the mesh has its authority',
    () => statusOf(address),
    ({ revision }) => revision >= written + 3,
  )
  const start = await processes.kill('zone-early', 'SIGTERM')
  const startsMs = () => new Date(new X509Certificate(readFileSync(join(dataDir, 'server.crt'))).validFrom).getTime()
  expect(startsMs()).toBeGreaterThan(Date.now())
  start(process.env)
  await untilAnswers(address)
  expect(startsMs()).toBeLessThan(Date.now())
  const status = await zonemesh('status', '--address', address)
  expect(status.stdout).toMatch(
    /^not valid yet: authority of the control plane of zone early becomes valid in 1h .*; correct the clock .*, or .* an empty data folder/m,
  )
  expect(status.stdout).toMatch(
    /^not valid yet: root authority of mesh default becomes valid in 1h .*; .*add another backend .*enabledBackend/m,
  )
  expect(status.stdout).not.toMatch(/^not valid yet: (server certificate|intermediate)/m)
})

test('E48 a zone and its global whose clocks differ by more than 30 s both report the difference', async () => {
  const [globalPort, syncPort, zonePort] = [port(), port(), port()]
  const [globalAddress, zoneAddress] = [`http://${local}:${globalPort}`, `http://${local}:${zonePort}`]
  const globalArgs = ['global', '--data-dir', join(folder.path, 'global'), ...anyPorts]
  processes.startOwn('global', [...globalArgs, '--api-port', `${globalPort}`, '--sync-port', `${syncPort}`])
  await untilAnswers(globalAddress)
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', globalAddress)
  const joinFile = folder.file('east.join', stdout)
  const zoneArgs = ['zone', '--join-file', joinFile, '--data-dir', join(folder.path, 'east'), ...anyPorts]
  const more = ['--api-port', `${zonePort}`, '--proxy-port', '0', '--dns-port', '0']
  const untilCurrent = () =>
    until(
      'the zone is current',
      async () => (await statusOf(globalAddress)).zones[0],
      (zone) => zone?.current === true,
    )
  const shown = async () =>
    Promise.all(
      [globalAddress, zoneAddress].map(async (address) => (await zonemesh('status', '--address', address)).stdout),
    )

  processes.startOwn('zone-east', [...zoneArgs, ...more], ahead(60))
  await untilCurrent()
  const [ofGlobal, ofZone] = await shown()
  expect(ofGlobal).toMatch(/^clock: zone east is (59|60|1m)\S* ahead of this control plane; .*time service/m)
  expect(ofZone).toMatch(/^clock: the global is (59|60|1m)\S* behind this control plane; .*time service/m)
  const asked = ['--from', 'east/none', '--address', globalAddress, '--zone', `east=${zoneAddress}`]
  const explained = await zonemesh('explain', 'http://shop.example.com/', ...asked)
  expect(explained.stderr).toMatch(
    /the clock of http:\S+ is (59|60|61) s ahead of this machine; set both by a time service/,
  )
  const start = await processes.kill('zone-east', 'SIGTERM')
  start(ahead(20))
  await until(
    'the zone has a new session',
    async () => (await statusOf(globalAddress)).zones[0],
    (zone) => zone?.current === true && zone.epoch === 2,
  )
  for (const text of await shown()) expect(text).not.toMatch(/^clock:/m)
})
