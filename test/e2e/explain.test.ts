import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { meshName } from '@zonemesh/cli/demo/names.ts'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  api,
  planesAt,
  root,
  type Scene,
  startScene,
  until,
  untilBothCurrent,
  zonemesh,
  zonemeshWithInput,
} from './rig.ts'

let scene: Scene
let demo: Demo
beforeAll(async () => {
  scene = await startScene(55)
  demo = scene.demo
})
afterAll(() => scene[Symbol.asyncDispose]())

const planes = () => planesAt(demo.globalAddress, demo.zones)
const url = (path: string): string => `http://${demo.names.hostname}:${demo.gatewayPort}${path}`
const explain = (path: string, ...more: string[]) =>
  zonemesh('explain', url(path), '--from', `east/${demo.names.gateway}`, ...planes(), ...more)

test('Q5 on running planes explain finds the path open, and every step is compared', async () => {
  const { code, stdout, stderr } = await explain('/')
  expect({ code, stderr, stdout }).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining('the path is open'),
  })
  expect(stdout).not.toContain('not compared')
  expect(stdout).toMatch(/✔ ingress +ZoneIngress ingress-west of zone west/)
  const json = JSON.parse((await explain('/', '-o', 'json')).stdout)
  expect(json).toMatchObject({ steps: expect.any(Array) })
  expect(json.mismatch).toBeUndefined()
})

test('Q5 explain works from the sidecar of a delegated gateway, by a name of the mesh', async () => {
  const { service, servicePort } = demo.names
  const name = `http://${meshName(service)}:${servicePort}/`
  const { code, stdout } = await zonemesh('explain', name, '--from', 'east/shop-1', ...planes())
  expect(stdout).toMatch(/✔ name +.* is .*, at 240\.0\.0\.\d+/)
  expect(stdout).toContain('the path is open')
  expect(stdout).not.toContain('not compared')
  expect(code).toBe(0)
})

test('Q5 doctor also sends the request', async () => {
  const { code, stdout } = await zonemesh('doctor', url('/'), '--from', 'east/gateway-1', ...planes())
  expect(stdout).toMatch(/✔ GET http:.*: answered 200/)
  expect(stdout).toMatch(/✔ the ingress of west, from here: .* takes connections/)
  expect(code).toBe(0)
})

test('QX24 explain and doctor need only the address of the global, which asks the zones', async () => {
  const one = ['--from', `east/${demo.names.gateway}`, '--address', demo.globalAddress]
  const { code, stdout, stderr } = await zonemesh('explain', url('/'), ...one)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('the path is open')
  // Compared with what each Envoy has accepted.
  expect(stdout).not.toContain('not compared')
  expect((await explain('/')).stdout).toBe(stdout)
  const doctor = await zonemesh('doctor', url('/'), ...one)
  expect(doctor.stdout).toMatch(/✔ GET http:.*: answered 200/)
  expect(doctor.code).toBe(0)
})

test('QX24 the configuration and the statistics of a proxy are shown through the global and its zone', async () => {
  const proxy = (view: string, ...more: string[]) =>
    zonemesh('proxy', view, ...more, '--mesh', demo.names.mesh, '--address', demo.globalAddress)
  const config = await proxy('config', 'gateway-1')
  expect(config.stdout).toMatch(new RegExp(`^Listener +${demo.names.gateway}:HTTP:\\d+$`, 'm'))
  expect(config.stdout).toContain('Envoy runs exactly this configuration.')
  expect(config.code).toBe(0)
  expect((await proxy('clusters', 'gateway-1')).stdout).toContain('::health_flags::healthy')
  expect((await proxy('listeners', 'gateway-1')).stdout).toMatch(new RegExp(`:${demo.gatewayPort}$`, 'm'))
  expect((await proxy('stats', 'ingress-west', '--type', 'ingress')).stdout).toMatch(/^server\.live: 1$/m)
  const dump = (await proxy('config', 'gateway-1', '--dump')).stdout
  const metadata = [...dump.matchAll(/"authorization",\s+"value": "([^"]*)"/g)].map(([, value]) => value)
  expect(new Set(metadata)).toEqual(new Set(['[redacted]']))
  expect(dump).not.toContain('PRIVATE KEY')
  const missing = await proxy('config', 'other')
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('no dataplane "other" in mesh "default"')])
})

test('QX25 a zone without a session gives no answer, and explain reports this', async () => {
  const restart = await demo.processes.kill('zone-west', 'SIGKILL')
  const west = () =>
    zonemesh('explain', url('/'), '--from', `east/${demo.names.gateway}`, '--address', demo.globalAddress)
  const { stderr } = await until('the global has noticed the end of the zone', west, (result) =>
    result.stderr.includes('not connected'),
  )
  expect(stderr).toContain(
    'zone "west" could not be asked: Service Unavailable: zone "west" gave no answer: zone "west" is not connected to the global',
  )
  const stats = await zonemesh('proxy', 'stats', 'echo-1', '--address', demo.globalAddress)
  expect([stats.code, stats.stderr]).toEqual([1, expect.stringContaining('zone "west" is not connected to the global')])
  restart()
  await untilBothCurrent(demo.globalAddress)
})

test('F47 without the global, status, explain and doctor answer from the zones and name the planes that did not answer', async () => {
  const restart = await demo.processes.kill('global', 'SIGKILL')
  const explained = await explain('/')
  expect(explained.stdout).toContain('the path is open')
  expect(explained.stderr).toContain(`${demo.globalAddress} could not be asked`)
  expect(explained.code).toBe(0)
  const { code, stdout } = await zonemesh('doctor', url('/'), '--from', 'east/gateway-1', ...planes())
  expect(stdout).toMatch(/✔ GET http:.*: answered 200/)
  expect(code).toBe(0)
  const status = await zonemesh('status', '--address', demo.zones.east.apiAddress)
  expect(status.stdout).toMatch(/^uplink waiting: .*ECONNREFUSED/m)
  restart()
  await untilBothCurrent(demo.globalAddress)
})

test('Q6 a port in use costs only its listener, and status and explain report it until the port is free', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '0.0.0.0', resolve))
  const { port } = holder.address() as AddressInfo // it listens on a port
  const { mesh, gateway } = demo.names
  const document = (
    await zonemesh('get', 'meshgateway', gateway, '--mesh', mesh, '-o', 'yaml', '--address', demo.globalAddress)
  ).stdout
  const more = `  listeners:\n    - { port: ${port}, protocol: HTTP, hostname: taken.example.test, tags: { taken: 'yes' } }\n`
  const applied = await zonemeshWithInput(
    document.replace(/^ {2}listeners:\n/m, more),
    ...['apply', '-f', '-', '--address', demo.globalAddress, '--wait', 'served@all', '--timeout', '10s'],
  )
  expect(applied).toMatchObject({ code: 1, stdout: expect.stringMatching(/east: refused .* cannot bind/) })
  const status = () => zonemesh('status', '--address', demo.zones.east.apiAddress)
  const ask = () => zonemesh('explain', `http://taken.example.test:${port}/`, '--from', `east/${gateway}`, ...planes())
  expect((await status()).stdout).toContain(`rejected: resource ${gateway}:HTTP:${port}`)
  const taken = await ask()
  expect(taken.stdout).toMatch(/✘ listener +the Envoy of .* refuses .*: .*cannot bind/)
  expect(taken.stdout).toMatch(
    /remedy: the host of the proxy does not have this address, or another process there uses it/,
  )
  expect((await explain('/')).stdout).toContain('the path is open')
  await new Promise((resolve) => holder.close(resolve))
  await until('it is served', ask, ({ stdout }) => /✔ listener .*\n(.*\n)*✘ route/.test(stdout))
  expect((await status()).stdout).not.toContain('rejected')
  expect((await zonemesh('status', '--address', demo.globalAddress)).stdout).not.toContain('rejected')
})

test('R87 a receipt of a zone is refused by what an Envoy refuses of a proxy that the commit wrote', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  const { port } = holder.address() as AddressInfo // it listens on a port
  const east = api(demo.zones.east.apiAddress)
  const at = `/meshes/${demo.names.mesh}/dataplanes/client-1`
  const { json: proxy } = await east.need('GET', at)
  const { networking } = proxy as { networking: { outbound?: object[] } } // the API answers with a Dataplane
  const outbound = networking.outbound ?? []
  const taken = { port, tags: { 'kuma.io/service': demo.names.service } }
  const apply = (outbounds: readonly object[]) =>
    zonemeshWithInput(
      JSON.stringify({ ...(proxy as object), networking: { ...networking, outbound: outbounds } }),
      ...['apply', '-f', '-', '--address', demo.zones.east.apiAddress, '--wait', 'served@all', '--timeout', '10s'],
    )
  expect(await apply([...outbound, taken])).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^east: refused .* cannot bind '127\.0\.0\.1/m),
  })
  expect((await apply(outbound)).code).toBe(0)
  await new Promise((resolve) => holder.close(resolve))
})

test('Q6 faults of running planes and proxies are named: a permission, a missing service, a port without a listener', async () => {
  const { mesh } = demo.names
  const at = ['--mesh', mesh, '--address', demo.globalAddress]
  expect((await zonemesh('delete', 'traffic-permission', 'allow-all', ...at)).code).toBe(0)
  const denied = await until(
    'the permission is gone',
    () => explain('/'),
    ({ code }) => code === 1,
  )
  expect(denied.stdout).toMatch(/✘ permission +no permission allows .* the answer is 403/)
  expect(denied.stdout).toContain('remedy: apply a TrafficPermission')
  // Open connections keep the permissions with which they were accepted, until they have drained.
  await until(
    'the service denies',
    () => zonemesh('doctor', url('/'), '--from', 'east/gateway-1', ...planes()),
    ({ code, stdout }) => code === 1 && /✘ GET .*: answered 403/.test(stdout),
  )
  const permission = readFileSync(join(root, 'demo/policies/20-permission.yaml'), 'utf8').replaceAll('{{mesh}}', mesh)
  expect((await zonemeshWithInput(permission, 'apply', '-f', '-', '--address', demo.globalAddress)).code).toBe(0)
  await until(
    'the path is open again',
    () => explain('/'),
    ({ code }) => code === 0,
  )

  await demo.processes.kill('echo-1', 'SIGTERM')
  const gone = await until(
    'the service has gone',
    () => explain('/'),
    ({ code }) => code === 1,
  )
  expect(gone.stdout).toMatch(/✘ endpoints +.* has no instance with .*version=/)

  const elsewhere = await zonemesh(
    'explain',
    `http://${demo.names.hostname}:1/`,
    '--from',
    'east/gateway-1',
    ...planes(),
  )
  expect(elsewhere).toMatchObject({ code: 1, stdout: expect.stringContaining('has no listener on port 1') })
})

test('Q7 explain works from files, before anything is applied', async () => {
  const folder = scene.folder
  const mesh = `type: Mesh
name: default
mtls: { enabledBackend: ca, backends: [{ name: ca, type: builtin }] }
---
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf: { listeners: [{ port: 8080, protocol: HTTP, tags: { port: web } }] }
---
type: Dataplane
mesh: default
name: gateway-1
networking: { address: 10.0.0.1, gateway: { type: BUILTIN, tags: { kuma.io/service: edge } } }
---
type: Dataplane
mesh: default
name: web-1
labels: { kuma.io/zone: west }
networking:
  address: 10.1.0.1
  inbound: [{ port: 80, tags: { kuma.io/service: web, kuma.io/protocol: http } }]
`
  const route = `type: MeshGatewayRoute
mesh: default
name: web
selectors: [{ match: { kuma.io/service: edge, port: web } }]
conf: { http: { rules: [{ matches: [{ path: { match: PREFIX, value: / } }], backends: [{ destination: { kuma.io/service: web } }] }] } }
`
  const files = ['--files', folder.file('mesh.yaml', mesh), '--files', folder.file('route.yaml', route)]
  const ask = () => zonemesh('explain', 'http://any:8080/', '--from', 'east/edge', ...files)
  expect((await ask()).stdout).toMatch(/✘ ingress +web runs in zone west, which has no ZoneIngress/)
  const ingress = `type: ZoneIngress
name: ingress-west
zone: west
networking: { address: 10.1.0.9, port: 10001, advertisedAddress: 10.1.0.9, advertisedPort: 10001 }
`
  folder.file('route.yaml', `${route}---\n${ingress}`)
  expect((await ask()).stdout).toMatch(/✘ permission +no permission allows edge/)
  folder.file('route.yaml', 'type: MeshGatewayRout\nname: x\n')
  const wrong = await ask()
  expect(wrong).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      'route.yaml:1: type: unknown kind "MeshGatewayRout"; did you mean "MeshGatewayRoute"',
    ),
  })
})
