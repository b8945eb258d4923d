import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { demoFolder } from '@zonemesh/cli/demo/files.ts'
import { meshName } from '@zonemesh/cli/demo/names.ts'
import { changeRoute } from '@zonemesh/cli/demo/prove.ts'
import type { Demo } from '@zonemesh/cli/demo/run.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
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
  untilBothCurrent,
} from './rig.ts'

let scene: Scene
let demo: Demo
beforeAll(async () => {
  scene = await startScene(41)
  demo = scene.demo
})
afterAll(() => scene[Symbol.asyncDispose]())

const answerAt = (at: string): Promise<readonly string[]> => {
  const [host = '', port = ''] = at.split(':')
  const name = meshName(demo.names.service)
  return resolve(name, { host, port: Number(port) }, AbortSignal.timeout(2_000)).then(({ addresses }) => addresses)
}

async function dataplanes(address: string): Promise<string[]> {
  // The plane answers with its own list type.
  const { items } = (await api(address).need('GET', '/dataplanes')).json as { items: { name: string }[] }
  return items.map((item) => item.name)
}

/** Another instance of the service in west, which continues to serve for two seconds after SIGTERM. */
async function startService(demo: Demo, name: string) {
  const [port = 0, servicePort = 0, readinessPort = 0] = await freePorts(systemRandom, 3)
  const version = `${name}-version`
  const { mesh, service } = demo.names
  const server = await startEcho({ service, zone: 'west', version }, local, servicePort)
  const variables = { mesh, service, name, version, address: local, port, serviceAddress: local, servicePort }
  demo.processes.startOwn(name, [
    'dataplane',
    ...['--dataplane-file', join(demoFolder, 'proxies/service.yaml')],
    ...Object.entries(variables).flatMap(([key, value]) => ['--dataplane-var', `${key}=${value}`]),
    ...['--cp-address', `https://${local}:${demo.zones.west.proxyPort}`],
    ...['--token-file', join(demo.folder, 'dataplane.token')],
    ...['--ca-cert-file', join(demo.folder, 'west/ca.crt')],
    ...['--work-dir', join(demo.folder, name), '--concurrency', '1', '--drain-time', '2s'],
    ...['--readiness-port', `${readinessPort}`],
  ])
  const isReady = async () =>
    (await requestOnce({ host: local, port: readinessPort, hostname: local, path: '/ready' })).status === 200
  return { version, isReady, [Symbol.asyncDispose]: async () => void server.close() }
}

const untilServed = (zone: 'east' | 'west', proxies: number) =>
  until(
    `the proxies of ${zone} are back`,
    () => statusOf(demo.zones[zone].apiAddress),
    ({ compiled, proxies: all }) =>
      all.filter((one) => one.state === 'connected' && one.served >= compiled).length === proxies && compiled > 0,
  )

/** The number of rows that a zone has received in its present session. */
async function rowsTaken(zone: string): Promise<number> {
  const { json } = await demo.global.need('GET', `/zones/${zone}/_overview`)
  const overview = json as {
    zoneInsight: { subscriptions: { status: { total: { responsesAcknowledged: string } } }[] }
  } // Kuma's shape
  return Number(overview.zoneInsight.subscriptions[0]?.status.total.responsesAcknowledged)
}

test('E4 the global is killed and started again: no request fails, zones continue at their position, and changes arrive', async () => {
  await using traffic = startTraffic(() => throughGateway(demo, '/'))
  const before = await untilBothCurrent(demo.globalAddress)
  const planes = [demo.globalAddress, demo.zones.east.apiAddress, demo.zones.west.apiAddress]
  const listed = await Promise.all(planes.map(dataplanes))
  expect(listed.map((names) => names.length)).toEqual([5, 3, 2])
  const again = await demo.processes.kill('global', 'SIGKILL')
  await traffic.more(100)
  expect(await Promise.all(planes.slice(1).map(dataplanes))).toEqual(listed.slice(1))
  again()
  const after = await untilBothCurrent(demo.globalAddress)
  for (const zone of before.zones) {
    const now = after.zones.find((one) => one.zone === zone.zone)
    expect(now?.epoch).toBeGreaterThan(zone.epoch)
    expect(now?.revision.stored).toBeGreaterThanOrEqual(zone.revision.stored)
    // None of the policy rows, of which there are more than ten, was sent again.
    expect(await rowsTaken(zone.zone)).toBeLessThanOrEqual(2)
  }
  expect(await Promise.all(planes.map(dataplanes))).toEqual(listed)
  await changeRoute(demo, demo.names.version2)
  await changeRoute(demo, demo.names.version1)
  const { requests, failures } = await traffic.stop()
  expect(failures).toEqual([])
  expect(requests).toBeGreaterThan(100)
})

test('E5 zones are killed and start without the global: no request fails, and names are answered throughout', async () => {
  await using traffic = startTraffic(() => throughGateway(demo, '/'))
  const resolver = `${local}:${demo.zones.east.dnsPort}`
  const address = await answerAt(resolver)
  const beside = await answerAt(demo.sidecarResolver)
  const startGlobal = await demo.processes.kill('global', 'SIGKILL')
  const startEast = await demo.processes.kill('zone-east', 'SIGKILL')
  const startWest = await demo.processes.kill('zone-west', 'SIGKILL')
  await traffic.more(100)
  expect(await answerAt(demo.sidecarResolver)).toEqual(beside)
  startEast()
  startWest()
  await untilServed('east', 4)
  await untilServed('west', 3)
  expect(await answerAt(resolver)).toEqual(address)
  expect(await answerAt(demo.sidecarResolver)).toEqual(beside)
  await traffic.more(50)
  startGlobal()
  await untilBothCurrent(demo.globalAddress)
  await changeRoute(demo, demo.names.version2)
  await changeRoute(demo, demo.names.version1)
  const { failures } = await traffic.stop()
  expect(failures).toEqual([])
})

test('E6 the Envoy of a proxy is killed: its process starts another one, which serves', async () => {
  const envoyOf = (name: string) => Number(readFileSync(join(demo.folder, name, 'envoy.pid'), 'utf8'))
  const west = (answer: { readonly status: number; readonly headers: Readonly<Record<string, unknown>> }) =>
    answer.status === 200 && answer.headers['x-zone'] === 'west'
  for (const name of ['gateway-1', 'echo-1', 'ingress-west']) {
    const former = envoyOf(name)
    process.kill(former, 'SIGKILL')
    await until(
      `another Envoy of ${name}`,
      () => envoyOf(name),
      (pid) => pid !== former && pid > 0,
    )
    await until(`the mesh answers after ${name}`, () => throughGateway(demo, '/'), west)
    expect(demo.processes.get(name)?.process.exitCode).toBeNull()
  }
})

test('E7 a proxy that is stopped removes its row at once on its zone and on the global, and no request fails', async () => {
  const { mesh, gateway, listenerTag, hostname, service } = demo.names
  const route = {
    type: 'MeshGatewayRoute',
    mesh,
    name: 'any-version',
    selectors: [{ match: { 'kuma.io/service': gateway, listener: listenerTag } }],
    conf: {
      http: {
        hostnames: [hostname],
        rules: [
          {
            matches: [{ path: { match: 'PREFIX', value: '/any' } }],
            backends: [{ destination: { 'kuma.io/service': service } }],
          },
        ],
      },
    },
  }
  await using third = await startService(demo, 'echo-3')
  await until('it is ready', third.isReady, (isReady) => isReady)
  // Clients use it when its Envoy has answered to the zone (Z25).
  await until(
    'it is announced',
    () => api(demo.zones.west.apiAddress).call('GET', `/meshes/${mesh}/dataplanes/echo-3`),
    ({ status, json }) => status === 200 && !JSON.stringify(json).includes('NotReady'),
  )
  await demo.global.need('PUT', `/meshes/${mesh}/meshgatewayroutes/any-version`, route)
  await until(
    'the new route answers',
    () => throughGateway(demo, '/any'),
    ({ status }) => status === 200,
  )
  // Eight callers: an ingress balances connections, and one caller would stay on one of them.
  const versions = new Set<unknown>()
  await using traffic = startTraffic(async () => {
    const answer = await throughGateway(demo, '/any')
    versions.add(answer.headers['x-version'])
    return answer
  }, 8)
  await until(
    'the third instance answers too',
    () => [...versions],
    (seen) => seen.length === 3 && seen.includes(third.version),
    // Connections to the other two instances may stay there for a minute (GW27).
    90_000,
  )
  const exited = demo.processes.kill('echo-3', 'SIGTERM')
  const path = `/meshes/${mesh}/dataplanes/echo-3`
  const gone = await Promise.race([
    exited.then(() => 'exited'),
    until(
      'west has no row',
      () => api(demo.zones.west.apiAddress).call('GET', path),
      ({ status }) => status === 404,
    ),
  ])
  expect(gone).not.toBe('exited')
  await until(
    'the global has no row',
    () => dataplanes(demo.globalAddress),
    (names) => !names.some((name) => name.startsWith('echo-3-')),
    2_000,
  )
  await exited
  await traffic.more(50)
  versions.clear()
  await traffic.more(50)
  expect(versions).toEqual(new Set([demo.names.version1, demo.names.version2]))
  const { failures } = await traffic.stop()
  expect(failures).toEqual([])
}, 150_000)
