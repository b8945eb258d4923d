import { Agent } from 'node:http'
import { type HttpAnswer, requestOnce } from '@zonemesh/cli/base/http.ts'
import { startEcho } from '@zonemesh/cli/scene/echo-server.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { resolve as resolveName } from '@zonemesh/shared/dns/resolve.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { PostgresServer } from '../contract/postgres-server.ts'
import { api, type Folder, local, type Status, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'

/** A process of a plane that shares its database with another one. */
export interface Replica {
  readonly name: string
  readonly address: string
}

export interface GlobalReplica extends Replica {
  readonly syncUrl: string
}

export interface ZoneReplica extends Replica {
  readonly proxyUrl: string
  readonly dnsPort: number
}

export interface ReplicaStatus extends Status {
  readonly uplink: Status['uplink'] & { readonly current: boolean }
  readonly replicas: readonly { readonly name: string; readonly leads: boolean }[]
}

/** Globals and a zone with two processes each over one database, a builtin gateway and a service behind it. */
export interface ReplicaScene extends AsyncDisposable {
  readonly globals: readonly GlobalReplica[]
  readonly zones: readonly [ZoneReplica, ZoneReplica]
  readonly folder: Folder
  readonly processes: Processes
  /** A request through the gateway, on a new connection. */
  ask(path?: string): Promise<HttpAnswer>
  /** A request on a connection of this agent. */
  askOn(agent: Agent): Promise<HttpAnswer>
  /**
   * Writes a route of the gateway at one of the globals. Its answers have this value of the header `x-turn`. By default
   * it leads to the service of the scene.
   */
  writeRoute(globalAddress: string, turn: string, to?: Destination): Promise<unknown>
}

/** The service of a route. The route has its name, and matches the path with this name. */
export interface Destination {
  readonly name: string
  readonly service: string
}

interface Options {
  readonly server: PostgresServer
  /** With one global, its store is a file. */
  readonly globals: 1 | 2
  readonly redis?: string
}

const hostname = 'echo.example.com'
const own: Destination = { name: 'echo', service: 'echo_demo_svc_8080' }
const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']

export const zoneStatusOf = async ({ address }: Replica) => (await statusOf(address)) as ReplicaStatus

/** The addresses of the service at the resolver of a replica. */
export const addressesAt = async ({ dnsPort }: ZoneReplica): Promise<readonly string[]> =>
  (await resolveName('echo.demo.svc.8080.mesh', { host: local, port: dnsPort }, AbortSignal.timeout(2_000))).addresses

export async function startReplicaScene({ server, globals: count, redis }: Options): Promise<ReplicaScene> {
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(temporaryFolder())
  const processes = createProcesses(folder.path)
  parts.defer(() => processes.stop())
  const [gatewayPort = 0, servicePort = 0, inboundPort = 0] = await freePorts(systemRandom, 3)
  const shared = (schema: string) => ['--store', server.url(schema), ...(redis ? ['--redis', redis] : [])]

  async function startPlane(name: string, words: readonly string[], port: number): Promise<Replica> {
    processes.startOwn(name, [...words, ...anyPorts, '--api-port', `${port}`])
    const address = `http://${local}:${port}`
    await until(
      `${name} answers`,
      () => api(address).call('GET', '/'),
      ({ status }) => status === 200,
    )
    return { name, address }
  }
  async function startGlobal(name: string) {
    const [port = 0, sync = 0] = await freePorts(systemRandom, 2)
    const store = count === 1 ? [] : shared('the_global')
    const words = ['global', ...store, '--data-dir', `${folder.path}/global`, '--sync-port', `${sync}`]
    return { ...(await startPlane(name, words, port)), syncUrl: `https://${local}:${sync}` }
  }
  /** Replicas share the folder with the keys. */
  async function startZone(name: string): Promise<ZoneReplica> {
    const [port = 0, proxyPort = 0, dnsPort = 0] = await freePorts(systemRandom, 3)
    const places = [...shared('east'), '--data-dir', `${folder.path}/east`, '--join', `${folder.path}/east.join`]
    const ports = ['--proxy-port', `${proxyPort}`, '--dns-port', `${dnsPort}`]
    const plane = await startPlane(name, ['zone', ...places, ...ports], port)
    return { ...plane, proxyUrl: `https://${local}:${proxyPort}`, dnsPort }
  }

  const globals = [await startGlobal('global-1')]
  if (count === 2) globals.push(await startGlobal('global-2'))
  const [{ address: globalAddress } = { address: '' }] = globals
  const join = ['--join-address', globals.map(({ syncUrl }) => syncUrl).join(',')]
  folder.file('east.join', (await zonemesh('token', 'zone', 'east', '--address', globalAddress, ...join)).stdout)
  const zones = [await startZone('east-1'), await startZone('east-2')] as const
  const policies = folder.file('policies.yaml', policiesOf(gatewayPort))
  const applied = await zonemesh('apply', '-f', policies, '--address', globalAddress)
  if (applied.code !== 0) throw new Error(applied.stderr)
  folder.file('dataplane.token', (await zonemesh('token', 'dataplane', '--address', globalAddress)).stdout)
  const echo = await startEcho({ service: 'echo_demo_svc_8080', zone: 'east', version: 'v1' }, local, servicePort)
  parts.defer(() => void echo.close())
  for (const [name, networking] of proxiesOf(inboundPort, servicePort)) {
    const yaml = `type: Dataplane\nmesh: default\nname: ${name}\nnetworking: { address: ${local}, ${networking} }\n`
    processes.startOwn(name, [
      ...['dataplane', '--dataplane-file', folder.file(`${name}.yaml`, yaml)],
      ...['--cp-address', zones.map(({ proxyUrl }) => proxyUrl).join(',')],
      ...['--token-file', `${folder.path}/dataplane.token`, '--ca-cert-file', `${folder.path}/east/ca.crt`],
      ...['--work-dir', `${folder.path}/${name}`, '--drain-time', '1s', '--no-dns'],
    ])
  }
  const askOn = (agent: Agent, path = '/') => requestOnce({ host: local, port: gatewayPort, hostname, path, agent })
  const scene = {
    ...{ globals, zones, folder, processes, askOn },
    async ask(path?: string) {
      const agent = new Agent({ keepAlive: false })
      return askOn(agent, path).finally(() => agent.destroy())
    },
    writeRoute: (address: string, turn: string, to = own) =>
      api(address).need('PUT', `/meshes/default/meshgatewayroutes/${to.name}`, routeOf(turn, to)),
  }
  await until(
    'the gateway answers',
    () => scene.ask(),
    ({ status }) => status === 200,
    60_000,
  )
  const all = parts.move()
  return { ...scene, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

const routeOf = (turn: string, { name, service }: Destination) => ({
  type: 'MeshGatewayRoute',
  mesh: 'default',
  name,
  selectors: [{ match: { 'kuma.io/service': 'edge' } }],
  conf: {
    http: {
      hostnames: [hostname],
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: name === own.name ? '/' : `/${name}` } }],
          filters: [{ responseHeader: { set: [{ name: 'x-turn', value: turn }] } }],
          backends: [{ destination: { 'kuma.io/service': service }, weight: 1 }],
        },
      ],
    },
  },
})

const proxiesOf = (inboundPort: number, servicePort: number): readonly (readonly [string, string])[] => [
  [
    'echo-1',
    `inbound: [{ port: ${inboundPort}, servicePort: ${servicePort}, serviceAddress: ${local}, tags: { kuma.io/service: echo_demo_svc_8080, kuma.io/protocol: http } }]`,
  ],
  ['edge-1', 'gateway: { type: BUILTIN, tags: { kuma.io/service: edge } }'],
]

const policiesOf = (gatewayPort: number): string => `
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
conf: { listeners: [{ port: ${gatewayPort}, protocol: HTTP, hostname: ${hostname} }] }
---
${JSON.stringify(routeOf('0', own))}
`
