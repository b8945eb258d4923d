import { mkdirSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dataplaneToken, securedMesh, startHomeZone } from './home-zone.ts'
import { api, type Folder, local, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'

const instances = Array.from({ length: 14 }, (_unused, index) => `web-${index}`)
/** More than ten proxies, and more than 30 % of all. */
const rack = instances.slice(0, 12)

let folder: Folder
let processes: Processes
let ports: number[] = []
let address = ''
let gatewayPort = 0
let echo: Awaited<ReturnType<typeof startEcho>> | undefined
const port = (): number => ports.pop() ?? 0

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  ports = await freePorts(systemRandom, 30)
  const servicePort = port()
  gatewayPort = port()
  const zone = await startHomeZone(processes, folder, port)
  address = zone.address
  const policies = folder.file(
    'policies.yaml',
    `${securedMesh}---
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  listeners: [{ port: ${gatewayPort}, protocol: HTTP }]
---
type: MeshGatewayRoute
mesh: default
name: all
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  http:
    rules:
      - matches: [{ path: { match: PREFIX, value: / } }]
        backends: [{ destination: { kuma.io/service: web } }]
`,
  )
  expect(await zonemesh('apply', '-f', policies, '--address', address)).toMatchObject({ code: 0 })
  const tokenFile = await dataplaneToken(folder, address)
  echo = await startEcho({ service: 'web', zone: 'home', version: '1' }, local, servicePort)
  const start = (name: string, networking: string): void => {
    const workDir = join(folder.path, name)
    mkdirSync(workDir)
    processes.startOwn(name, [
      'dataplane',
      '--dataplane-file',
      folder.file(`${name}.yaml`, `type: Dataplane\nmesh: default\nname: ${name}\n${networking}`),
      ...['--cp-address', zone.proxyAddress, '--token-file', tokenFile, '--work-dir', workDir],
      ...['--ca-cert-file', join(folder.path, 'home/ca.crt'), '--concurrency', '1', '--no-dns'],
    ])
  }
  start('edge', `networking: { address: ${local}, gateway: { type: BUILTIN, tags: { kuma.io/service: edge } } }\n`)
  for (const name of instances) {
    const inbound = `{ port: ${port()}, serviceAddress: ${local}, servicePort: ${servicePort}, tags: { kuma.io/service: web, kuma.io/protocol: http } }`
    start(name, `networking: { address: ${local}, inbound: [${inbound}] }\n`)
  }
  await until(
    'all proxies are connected',
    () => statusOf(address),
    ({ proxies }) => proxies.filter(({ state }) => state === 'connected').length === instances.length + 1,
    90_000,
  )
}, 120_000)
afterAll(async () => {
  await processes.stop()
  echo?.close()
  folder[Symbol.dispose]()
})

/** The number of failed requests among a hundred through the gateway. */
async function failures(): Promise<number> {
  let failed = 0
  for (let count = 0; count < 100; count += 1) {
    const agent = new Agent({ keepAlive: false })
    const answer = await requestOnce({ host: local, port: gatewayPort, hostname: 'any', path: '/', agent }).catch(
      () => undefined,
    )
    agent.destroy()
    if (answer?.status !== 200) failed += 1
  }
  return failed
}

test('E44 endpoints of many proxies that are lost at once get no requests after their lease, and a release removes them', async () => {
  await until('requests are answered', failures, (failed) => failed === 0)
  for (const name of rack) await processes.kill(name, 'SIGKILL')
  expect(await failures()).toBeGreaterThan(0)
  const { proxies } = await until(
    'the rack is lost',
    () => statusOf(address),
    (status) => status.proxies.filter(({ state }) => state === 'lost').length === rack.length,
    60_000,
  )
  expect(proxies.filter(({ state }) => state === 'connected')).toHaveLength(3)
  await until('only live endpoints get requests', failures, (failed) => failed === 0)
  const shown = await zonemesh('status', '--address', address)
  expect(shown.stdout).toContain('remove them with: zonemesh zone release home --hold lost-proxies')
  const rows = () => api(address).need('GET', '/meshes/default/dataplanes')
  // Nothing is removed: only an operator can decide whether the proxies will come back.
  expect((await rows()).json).toMatchObject({ total: instances.length + 1 })
  const released = await zonemesh('zone', 'release', 'home', '--hold', 'lost-proxies', '--address', address)
  expect(released).toMatchObject({ code: 0, stderr: '' })
  expect(released.stdout).toContain('12 proxies were lost at once and did not return (lost-proxies)')
  expect((await rows()).json).toMatchObject({ total: instances.length + 1 - rack.length })
  expect(await failures()).toBe(0)
  expect(await zonemesh('zone', 'release', 'home', '--address', address)).toMatchObject({ code: 1 })
}, 180_000)
