import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { changeRoute } from '@zonemesh/cli/demo/prove.ts'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Scene, startScene, statusOf, throughGateway, until, zonemesh, zonemeshWithInput } from './rig.ts'

let scene: Scene
let demo: Demo
beforeAll(async () => {
  scene = await startScene(42)
  demo = scene.demo
})
afterAll(() => scene[Symbol.asyncDispose]())

/** The arguments of a command for the global of the scene. */
const atGlobal = (): string[] => ['--address', demo.globalAddress]
const applyAndWait = (yaml: string) =>
  zonemeshWithInput(yaml, 'apply', '-f', '-', '--wait', 'served@all', '--timeout', '20s', ...atGlobal())

/** A route of the scene's gateway for one path. */
const routeFor = (name: string, path: string): string => {
  const { mesh, gateway, listenerTag, hostname, service, version1 } = demo.names
  return `type: MeshGatewayRoute
mesh: ${mesh}
name: ${name}
selectors:
  - match: { kuma.io/service: ${gateway}, listener: ${listenerTag} }
conf:
  http:
    hostnames: ['${hostname}']
    rules:
      - matches: [{ path: ${path} }]
        backends:
          - destination: { kuma.io/service: ${service}, version: ${version1} }
`
}

const statusLines = async (address: string): Promise<string> => (await zonemesh('status', '--address', address)).stdout

/** A pattern that admission accepts and Envoy refuses: a script of a newer Unicode version than Envoy's. */
const refusedPattern = "{ match: REGEX, value: '/bad/\\p{Garay}' }"
const goodPath = (path: string): string => `{ match: EXACT, value: ${path} }`

const statusOfPath = async (path: string): Promise<number> => (await throughGateway(demo, path)).status
const untilStatus = (path: string, wanted: number) =>
  until(
    `${path} answers ${wanted}`,
    () => statusOfPath(path),
    (status) => status === wanted,
  )

test('E8 if Envoy refuses a route, earlier and later configuration is served, and every status names the route and the reason until it is repaired', async () => {
  const { mesh } = demo.names
  const refused = await applyAndWait(routeFor('refused', refusedPattern))
  expect(refused).toMatchObject({ code: 1, stderr: '' })
  expect(refused.stdout).toContain(`MeshGatewayRoute ${mesh}/refused: created`)
  expect(refused.stdout).toMatch(
    new RegExp(
      `^east: refused after [\\d.]+ ms — MeshGatewayRoute/${mesh}/refused: invalid character class range`,
      'm',
    ),
  )
  expect(refused.stdout).toMatch(/^west: served after /m)
  // Existing routes stay, and new routes are served.
  await changeRoute(demo, demo.names.version2)
  await zonemeshWithInput(routeFor('sound', goodPath('/sound')), 'apply', '-f', '-', ...atGlobal())
  await untilStatus('/sound', 200)
  const verdict = new RegExp(
    `^rejected: MeshGatewayRoute ${mesh}/refused.* by Dataplane ${mesh}/gateway-1: invalid character class range`,
    'm',
  )
  expect(await statusLines(demo.zones.east.apiAddress)).toMatch(verdict)
  const atTheGlobal = await statusLines(demo.globalAddress)
  expect(atTheGlobal).toMatch(verdict)
  expect(atTheGlobal).toMatch(/^rejected: .* in east by /m)

  // A new Envoy does not get the route either, so its verdict stays.
  process.kill(Number(readFileSync(join(demo.folder, 'gateway-1/envoy.pid'), 'utf8')), 'SIGKILL')
  await until(
    'Envoy is gone',
    () => throughGateway(demo, '/later').then(String, (thrown: Error) => thrown.message),
    (answer) => answer.includes('ECONNREFUSED'),
  )
  await untilStatus('/later', 200)
  expect(await statusLines(demo.zones.east.apiAddress)).toMatch(verdict)

  const mended = await applyAndWait(routeFor('refused', goodPath('/bad')))
  expect(mended).toMatchObject({ code: 0, stderr: '' })
  expect(await statusOfPath('/bad')).toBe(200)
  for (const address of [demo.zones.east.apiAddress, demo.globalAddress])
    expect(await statusLines(address)).not.toContain('rejected')

  expect((await applyAndWait(routeFor('refused', refusedPattern))).code).toBe(1)
  expect(await statusLines(demo.globalAddress)).toMatch(verdict)
  const removed = await zonemesh('delete', 'meshgatewayroute', 'refused', '--mesh', mesh, ...atGlobal())
  expect(removed).toMatchObject({ code: 0, stderr: '' })
  for (const address of [demo.zones.east.apiAddress, demo.globalAddress]) {
    await until(
      'the verdict goes with its route',
      () => statusLines(address),
      (lines) => !lines.includes('rejected'),
    )
  }
  expect(await statusOfPath('/sound')).toBe(200)
  await changeRoute(demo, demo.names.version1)
})

test('E24 among many routes of one commit only the one that Envoy refuses is left out, and a restarted zone does not try it again', async () => {
  const { mesh } = demo.names
  const sound = ['one', 'two', 'three', 'four', 'five'].map((name) => routeFor(name, goodPath(`/${name}`)))
  const applied = await applyAndWait(
    [...sound.slice(0, 3), routeFor('refused', refusedPattern), ...sound.slice(3)].join('\n---\n'),
  )
  expect(applied.code).toBe(1)
  for (const name of ['one', 'two', 'three', 'four', 'five']) await untilStatus(`/${name}`, 200)
  const rejected = async () =>
    (await statusLines(demo.zones.east.apiAddress)).split('\n').filter((line) => line.startsWith('rejected'))
  await until('the search is over', rejected, (lines) => lines.length === 1)
  expect((await rejected())[0]).toContain(`MeshGatewayRoute ${mesh}/refused`)

  const restart = await demo.processes.kill('zone-east', 'SIGKILL')
  restart()
  await until(
    'the zone is back and its gateway has answered',
    async () => JSON.stringify(await statusOf(demo.zones.east.apiAddress).catch(() => ({}))),
    (text) => text.includes('gateway-1') && !text.includes('"served":0'),
  )
  expect(await rejected()).toHaveLength(1)
  for (const name of ['one', 'five']) expect(await statusOfPath(`/${name}`)).toBe(200)
  for (const name of ['one', 'two', 'three', 'four', 'five', 'refused']) {
    expect((await zonemesh('delete', 'meshgatewayroute', name, '--mesh', mesh, ...atGlobal())).code).toBe(0)
  }
})

/** The proxies that a list of overviews reports as connected. */
async function connectedAt(path: string, insight: string): Promise<readonly string[]> {
  // Kuma's shape.
  const { items } = (await demo.global.need('GET', path)).json as {
    readonly items: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[]
  }
  const isConnected = (one: unknown) => JSON.stringify(one ?? '').includes('"connectTime"')
  const hasLeft = (one: unknown) => JSON.stringify(one ?? '').includes('"disconnectTime"')
  return items.filter((item) => isConnected(item[insight]) && !hasLeft(item[insight])).map(({ name }) => name)
}

test('E23 the global shows for every proxy what its zone reports', async () => {
  await until(
    'the global knows of five proxies and two ingresses',
    async () => [
      ...(await connectedAt('/dataplanes/_overview', 'dataplaneInsight')),
      ...(await connectedAt('/zoneingresses/_overview', 'zoneIngressInsight')),
    ],
    (names) => names.length === 7,
  )
  const again = await demo.processes.kill('client-1', 'SIGTERM')
  await until(
    'the global knows that one has left',
    () => connectedAt('/dataplanes/_overview', 'dataplaneInsight'),
    (names) => names.length === 4 && !names.some((name) => name.startsWith('client-1')),
  )
  again()
  await until(
    'the global knows that it is back',
    () => connectedAt('/dataplanes/_overview', 'dataplaneInsight'),
    (names) => names.length === 5,
  )
})

test('E9 without a permission requests are denied, and a MeshTrafficPermission for the mesh allows them again', async () => {
  const { mesh } = demo.names
  const removed = await zonemesh('delete', 'trafficpermission', 'allow-all', '--mesh', mesh, ...atGlobal())
  expect(removed).toMatchObject({ code: 0, stderr: '' })
  await untilStatus('/', 403)
  const allowed = await applyAndWait(`type: MeshTrafficPermission
mesh: ${mesh}
name: allow
spec:
  targetRef: { kind: Mesh }
  from:
    - targetRef: { kind: Mesh }
      default: { action: Allow }
`)
  expect(allowed).toMatchObject({ code: 0, stderr: '' })
  // Earlier connections, with the old filters, end a moment later.
  await untilStatus('/', 200)
})
