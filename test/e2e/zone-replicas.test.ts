import { Agent } from 'node:http'
import { requestOnce } from '@zonemesh/cli/base/http.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { resolve as resolveName } from '@zonemesh/shared/dns/resolve.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../contract/postgres-server.ts'
import {
  api,
  type Folder,
  local,
  type Status,
  startTraffic,
  statusOf,
  temporaryFolder,
  until,
  zonemesh,
} from './rig.ts'

interface Replica {
  readonly name: string
  readonly address: string
  readonly proxyUrl: string
  readonly dnsPort: number
}

let server: PostgresServer
let folder: Folder
let processes: Processes
let globalAddress = ''
let replicas: readonly Replica[] = []
let gatewayPort = 0
let echo: Awaited<ReturnType<typeof startEcho>>

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

async function startGlobal(): Promise<void> {
  const [port = 0, sync = 0] = await freePorts(systemRandom, 2)
  const ports = ['--api-port', `${port}`, '--sync-port', `${sync}`]
  processes.startOwn('global', ['global', '--data-dir', `${folder.path}/global`, ...anyPorts, ...ports])
  globalAddress = `http://${local}:${port}`
  await until(
    'the global answers',
    () => api(globalAddress).call('GET', '/'),
    ({ status }) => status === 200,
  )
}

/** Starts a replica of zone east and waits until its API answers. Replicas share the folder with the keys. */
async function startReplica(name: string): Promise<Replica> {
  const [port = 0, proxyPort = 0, dnsPort = 0] = await freePorts(systemRandom, 3)
  const places = ['--store', server.url('east'), '--data-dir', `${folder.path}/east`]
  const ports = ['--api-port', `${port}`, '--proxy-port', `${proxyPort}`, '--dns-port', `${dnsPort}`]
  processes.startOwn(name, ['zone', '--join', `${folder.path}/east.join`, ...places, ...anyPorts, ...ports])
  const address = `http://${local}:${port}`
  await until(
    `${name} answers`,
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  return { name, address, proxyUrl: `https://${local}:${proxyPort}`, dnsPort }
}

/** Starts a proxy that knows both replicas. */
function startProxy(name: string, yaml: string): void {
  processes.startOwn(name, [
    ...['dataplane', '--dataplane-file', folder.file(`${name}.yaml`, yaml)],
    ...['--cp-address', replicas.map(({ proxyUrl }) => proxyUrl).join(',')],
    ...['--token-file', `${folder.path}/dataplane.token`, '--ca-cert-file', `${folder.path}/east/ca.crt`],
    ...['--work-dir', `${folder.path}/${name}`, '--drain-time', '1s', '--no-dns'],
  ])
}

const policies = () => `
type: Mesh
name: default
mtls: { enabledBackend: ca, backends: [{ name: ca, type: builtin }] }
---
type: TrafficPermission
mesh: default
name: all
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: '*' } }]
---
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf: { listeners: [{ port: ${gatewayPort}, protocol: HTTP, hostname: echo.example.com }] }
---
type: MeshGatewayRoute
mesh: default
name: echo
selectors: [{ match: { kuma.io/service: edge } }]
conf:
  http:
    hostnames: [echo.example.com]
    rules:
      - matches: [{ path: { match: PREFIX, value: / } }]
        backends: [{ destination: { kuma.io/service: echo_demo_svc_8080 }, weight: 1 }]
`

const throughGateway = () => {
  const agent = new Agent({ keepAlive: false })
  return requestOnce({ host: local, port: gatewayPort, hostname: 'echo.example.com', path: '/', agent }).finally(() =>
    agent.destroy(),
  )
}

const addressesAt = async ({ dnsPort }: Replica): Promise<readonly string[]> =>
  (await resolveName('echo.demo.svc.8080.mesh', { host: local, port: dnsPort }, AbortSignal.timeout(2_000))).addresses

interface ReplicaStatus extends Status {
  readonly uplink: Status['uplink'] & { readonly current: boolean }
  readonly replicas: readonly { readonly name: string; readonly leads: boolean }[]
}
const zoneStatus = async ({ address }: Replica) => (await statusOf(address)) as ReplicaStatus

/** The replica that leads, as it shows itself, and the other one. */
async function leaderAndOther(): Promise<readonly [Replica, Replica]> {
  const [first, second] = replicas
  if (!first || !second) throw new Error('two replicas run')
  const found = await until(
    'one of the replicas leads',
    () => Promise.all([first, second].map(zoneStatus)),
    (both) => both.filter(({ replicas: [own] }) => own?.leads).length === 1,
  )
  return found[0]?.replicas[0]?.leads ? [first, second] : [second, first]
}

beforeAll(async () => {
  server = await startPostgres({ durable: true })
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  await startGlobal()
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', globalAddress)
  folder.file('east.join', stdout)
  const first = await startReplica('east-1')
  replicas = [first, await startReplica('east-2')]
  const [servicePort = 0, inboundPort = 0, port = 0] = await freePorts(systemRandom, 3)
  gatewayPort = port
  const applied = await zonemesh('apply', '-f', folder.file('policies.yaml', policies()), '--address', globalAddress)
  expect(applied).toMatchObject({ code: 0 })
  const token = await zonemesh('token', 'dataplane', '--mesh', 'default', '--address', globalAddress)
  folder.file('dataplane.token', token.stdout)
  echo = await startEcho({ service: 'echo_demo_svc_8080', zone: 'east', version: 'v1' }, local, servicePort)
  const inbound = `{ port: ${inboundPort}, servicePort: ${servicePort}, serviceAddress: ${local}, tags: { kuma.io/service: echo_demo_svc_8080, kuma.io/protocol: http } }`
  startProxy(
    'echo-1',
    `type: Dataplane\nmesh: default\nname: echo-1\nnetworking:\n  address: ${local}\n  inbound: [${inbound}]\n`,
  )
  const gateway = '{ type: BUILTIN, tags: { kuma.io/service: edge } }'
  startProxy(
    'edge-1',
    `type: Dataplane\nmesh: default\nname: edge-1\nnetworking:\n  address: ${local}\n  gateway: ${gateway}\n`,
  )
  await until('the gateway answers', throughGateway, ({ status }) => status === 200, 60_000)
}, 120_000)
afterAll(async () => {
  await processes.stop()
  await echo.close()
  await server[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

test('ZR4 ZR7 ZR13 one replica has the session with the global, and each of them shows it, all proxies and the same names', async () => {
  const [leader, other] = await leaderAndOther()
  for (const one of [leader, other]) {
    const shown = await until(
      `${one.name} shows both proxies`,
      () => zoneStatus(one),
      ({ proxies, uplink }) => uplink.current && proxies.filter(({ state }) => state === 'connected').length === 2,
    )
    expect(shown.uplink).toMatchObject({ phase: 'connected' })
    expect(shown.replicas).toHaveLength(2)
    const overview = await api(one.address).need('GET', '/meshes/default/dataplanes+insights')
    expect(JSON.stringify(overview.json).match(/"connectTime"/g)).toHaveLength(2)
  }
  for (const { address } of [leader, other]) {
    const sight = (await api(address).need('GET', '/_sight')).json
    expect(sight).toMatchObject({
      proxies: { 'east/Dataplane/default/echo-1': {}, 'east/Dataplane/default/edge-1': {} },
    })
    for (const proxy of ['echo-1', 'edge-1'])
      expect((await api(address).call('GET', `/meshes/default/dataplanes/${proxy}/_config`)).status).toBe(200)
    const join = await api(address).call('POST', '/tokens/dataplane', { mesh: 'default', name: 'later' })
    expect(join.status).toBe(200)
  }
  expect(await addressesAt(leader)).toEqual(await addressesAt(other))
  const [zone] = (await statusOf(globalAddress)).zones
  expect(zone).toMatchObject({ connected: true, current: true, proxies: { connected: 2, total: 2 } })
})

test('ZR7 receipts of the global and of each replica wait for the proxies of all replicas', async () => {
  const file = folder.file(
    'timeout.yaml',
    'type: Timeout\nmesh: default\nname: t\nsources: [{ match: { kuma.io/service: "*" } }]\ndestinations: [{ match: { kuma.io/service: "*" } }]\nconf: { connectTimeout: 7s }\n',
  )
  expect(await zonemesh('apply', '-f', file, '--address', globalAddress, '--wait', 'served@all')).toMatchObject({
    code: 0,
  })
  for (const { name, address } of replicas) {
    const networking = '{ address: 192.0.2.1, inbound: [{ port: 1, tags: { kuma.io/service: echo_demo_svc_8080 } }] }'
    const yaml = `type: Dataplane\nmesh: default\nname: of-${name}\nnetworking: ${networking}\n`
    const sets = ['-f', folder.file(`of-${name}.yaml`, yaml), '--address', address]
    expect(await zonemesh('apply', ...sets, '--wait', 'served@all')).toMatchObject({ code: 0 })
    expect(await zonemesh('delete', 'dataplane', `of-${name}`, '--address', address)).toMatchObject({ code: 0 })
  }
})

/** How often the Envoy of a proxy has changed a listener or a cluster. */
async function changesOf(proxy: string, asked: readonly Replica[]): Promise<readonly string[]> {
  const answers = await Promise.all(
    asked.map(({ address }) => api(address).call('GET', `/meshes/default/dataplanes/${proxy}/stats`)),
  )
  const text = answers.map(({ text: body }) => body).find((body) => body.includes('listener_manager.')) ?? ''
  return text.match(/^(listener_manager.listener_|cluster_manager.cluster_)(added|modified|removed): \d+$/gm) ?? []
}

test.each(['the leader', 'the other replica'])(
  'ZR4 ZR5 %s is killed: the other one has the session and all proxies and names within 3 s, and no request fails',
  async (which) => {
    const [leader, other] = await leaderAndOther()
    const [killed, left] = which === 'the leader' ? [leader, other] : [other, leader]
    const before = await addressesAt(left)
    const changes = await changesOf('edge-1', replicas)
    expect(changes.length).toBeGreaterThan(1)
    await using traffic = startTraffic(throughGateway, 2)
    await traffic.more(50)
    const startAgain = await processes.kill(killed.name, 'SIGKILL')
    const sinceMs = performance.now()
    const shown = await until(
      'the other replica has everything',
      () => zoneStatus(left),
      ({ uplink, proxies, replicas: [own] }) =>
        own?.leads === true &&
        uplink.phase === 'connected' &&
        proxies.filter(({ state }) => state === 'connected').length === 2,
    )
    const tookMs = performance.now() - sinceMs
    console.info(`${which} was killed: ${Math.round(tookMs)} ms`)
    expect(shown.proxies).toHaveLength(2)
    expect(await addressesAt(left)).toEqual(before)
    await until(
      'the global shows the zone as current',
      () => statusOf(globalAddress),
      ({ zones: [zone] }) => zone?.connected === true && zone.current && zone.proxies.connected === 2,
    )
    await traffic.more(200)
    expect((await traffic.stop()).failures).toEqual([])
    expect(await changesOf('edge-1', [left])).toEqual(changes)
    startAgain()
    await until(
      'the killed replica is back',
      () => zoneStatus(killed),
      (status) => status.replicas.length === 2,
    )
    expect(await addressesAt(killed)).toEqual(before)
  },
  60_000,
)
