import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultConfig } from '@zonemesh/dataplane/contract.ts'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { partAddress } from '@zonemesh/dataplane/part.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { type Client, createClient } from '../client.ts'
import { fillVariables, readDocuments } from '../documents.ts'
import { startEcho } from './echo-server.ts'
import { untilAnswer } from './http.ts'
import { startNameGateway } from './name-gateway.ts'
import { createProcesses, type Processes } from './processes.ts'
import { freePorts, meshName, type Scene } from './scene.ts'

const root = process.env['ZONEMESH_ROOT'] ?? '.'
export const demoFolder = join(root, 'demo')
const local = '127.0.0.1'
const limitMs = 60_000

/** The addresses of one zone of a demo. */
export interface DemoZone {
  readonly apiAddress: string
  readonly healthAddress: string
  readonly dnsPort: number
  readonly proxyPort: number
}

/** The addresses of a running demo. */
export interface Demo {
  readonly scene: Scene
  readonly folder: string
  readonly global: Client
  readonly globalAddress: string
  readonly adminTokenFile: string
  readonly zones: Readonly<Record<'east' | 'west', DemoZone>>
  readonly gatewayPort: number
  readonly delegatedPort: number
  readonly delegatedKind: 'nginx' | 'node'
  readonly clientOutboundPort: number
  /** The resolver beside the delegated gateway's sidecar. */
  readonly sidecarResolver: string
  readonly variables: Readonly<Record<string, string>>
  readonly processes: Processes
  /** Services of this process. */
  stop(): Promise<void>
}

export interface Steps {
  /** Something has been shown to be so. */
  done(line: string): void
}

const proxyFile = (name: string): string => join(demoFolder, 'proxies', name)

function secretFile(folder: string, name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, `${text}\n`, { mode: 0o600 })
  return path
}

async function untilApi(address: string): Promise<Client> {
  const client = createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })
  await untilAnswer(
    `${address} answers`,
    limitMs,
    () => client.call('GET', '/'),
    (reply) => reply.status === 200,
    (reply) => String(reply.status),
  )
  return client
}

async function token(global: Client, kind: 'zone' | 'dataplane' | 'user', body: object): Promise<string> {
  return (await global.need('POST', `/tokens/${kind}`, body)).text.trim()
}

/** nginx where there is one, on PATH or where distributions put it. */
function findNginx(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path))
}

/** The loopback network that a proxy has claimed: it says so in its work folder. */
export async function claimedResolver(workDir: string): Promise<string> {
  return untilAnswer(
    'the sidecar of the delegated gateway has a resolver',
    limitMs,
    async () => {
      const file = join(workDir, 'part.json')
      if (!existsSync(file)) return ''
      // Written by the proxy itself.
      const { part } = JSON.parse(readFileSync(file, 'utf8')) as { readonly part: number }
      return `${partAddress(part, 1)}:${defaultConfig.dns.port}`
    },
    (text) => text !== '',
    () => 'none',
  )
}

/** Starts a global, two zones and their proxies as processes of this machine, and the services they stand for. */
export async function startDemo(scene: Scene, folder: string, steps: Steps, signal: AbortSignal): Promise<Demo> {
  const processes = createProcesses(folder)
  const closing: (() => unknown)[] = []
  const stop = async () => {
    await processes.stop()
    for (const close of closing.reverse()) await close()
  }
  try {
    const envoy = await findEnvoy(
      {
        env: process.env,
        progress: (line) =>
          void process.stderr.write(`${line}
`),
      },
      signal,
    )
    process.env['ZONEMESH_ENVOY'] = envoy
    const [
      globalApi = 0,
      globalTls = 0,
      globalHealth = 0,
      sync = 0,
      gatewayPort = 0,
      delegatedPort = 0,
      clientOutboundPort = 0,
      ...ports
    ] = await freePorts(systemRandom, 30)
    const port = () => ports.pop() ?? 0
    const variables: Record<string, string> = Object.fromEntries(
      Object.entries({ ...scene, gatewayPort, version: scene.version1 }).map(([key, value]) => [key, String(value)]),
    )

    const globalDir = join(folder, 'global')
    processes.startOwn('global', [
      'global',
      '--data-dir',
      globalDir,
      '--host',
      local,
      '--api-port',
      `${globalApi}`,
      '--api-tls-port',
      `${globalTls}`,
      '--health-port',
      `${globalHealth}`,
      '--sync-port',
      `${sync}`,
    ])
    const failed = processes.watch()
    failed.catch(() => {})
    const orFail = <T>(task: Promise<T>): Promise<T> => Promise.race([task, failed, stopped(signal)])

    const global = await orFail(untilApi(`http://${local}:${globalApi}`))
    const adminTokenFile = secretFile(
      folder,
      'admin.token',
      await token(global, 'user', { name: 'demo', groups: ['mesh-system:admin'], validFor: '24h' }),
    )
    // The API says who may join and whom to trust.
    const { pin } = (await global.need('GET', '/_join')).json as { readonly pin: string }

    const zones: Record<string, DemoZone> = {}
    for (const zone of ['east', 'west']) {
      await global.need('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
      const join_ = encodeJoin({
        address: `https://${local}:${sync}`,
        token: await token(global, 'zone', { zone, scope: ['cp'] }),
        pin,
      })
      const joinFile = secretFile(folder, `${zone}.join`, join_)
      const [api, tls, health, proxyPort, dnsPort] = [port(), port(), port(), port(), port()]
      processes.startOwn(`zone-${zone}`, [
        'zone',
        '--join-file',
        joinFile,
        '--data-dir',
        join(folder, zone),
        '--host',
        local,
        '--api-port',
        `${api}`,
        '--api-tls-port',
        `${tls}`,
        '--health-port',
        `${health}`,
        '--proxy-port',
        `${proxyPort}`,
        '--dns-port',
        `${dnsPort}`,
      ])
      zones[zone] = {
        apiAddress: `http://${local}:${api}`,
        healthAddress: `http://${local}:${health}`,
        dnsPort,
        proxyPort,
      }
    }
    const { east, west } = zones
    if (!east || !west) throw new Error('a zone is missing')

    const documents = await readDocuments([join(demoFolder, 'policies')], variables)
    const reply = await global.need('POST', '/_commit', {
      documents: documents.map((one) => one.content),
      intent: 'the demo',
    })
    // The plane answers with its own types.
    const { revision, outcomes } = reply.json as {
      readonly revision: string
      readonly outcomes: readonly { readonly outcome: string; readonly name: string; readonly detail?: string }[]
    }
    const bad = outcomes.find((one) => one.outcome === 'refused')
    if (bad) throw new Error(`the demo's own ${bad.name} was refused: ${bad.detail}`)
    const dataplaneToken = secretFile(
      folder,
      'dataplane.token',
      await token(global, 'dataplane', { mesh: scene.mesh, validFor: '24h' }),
    )

    await orFail(
      untilAnswer(
        'zones online',
        limitMs,
        () => global.need('GET', '/_status'),
        (status) => onlineZones(status.json) === 2,
        (status) => status.text,
      ),
    )
    steps.done('zones online: east, west')
    const receipt = await global.need('GET', `/_receipts/${encodeURIComponent(revision)}?wait=stored@all&timeout=20s`)
    const { complete, zones: stored } = receipt.json as {
      readonly complete: boolean
      readonly zones: readonly { readonly zone: string; readonly delayMs?: number; readonly reason?: string }[]
    }
    if (!complete) throw new Error(`the policies did not reach every zone: ${receipt.text}`)
    steps.done(
      `policies synced: ${outcomes.length} resources stored in ${stored.map((one) => one.zone).join(' and ')} (${revision})`,
    )

    const proxy = async (
      zone: 'east' | 'west',
      name: string,
      file: string,
      given: Record<string, string | number>,
      type: 'dataplane' | 'ingress' = 'dataplane',
    ) => {
      const at = zones[zone]
      const tokenFile =
        type === 'dataplane'
          ? dataplaneToken
          : secretFile(folder, `${name}.token`, await token(global, 'zone', { zone, scope: ['ingress'] }))
      const workDir = join(folder, name)
      mkdirSync(workDir, { mode: 0o700 })
      const all = { ...variables, address: local, name, ...given }
      const text = readFileSync(proxyFile(file), 'utf8')
      const used = Object.entries(all).filter(([key]) => text.includes(`{{${key}}}`))
      processes.startOwn(name, [
        'dataplane',
        '--proxy-type',
        type,
        '--dataplane-file',
        proxyFile(file),
        ...used.flatMap(([key, value]) => ['--dataplane-var', `${key}=${value}`]),
        '--cp-address',
        `https://${local}:${at?.proxyPort}`,
        '--token-file',
        tokenFile,
        '--ca-cert-file',
        join(folder, zone, 'ca.crt'),
        '--work-dir',
        workDir,
        '--concurrency',
        '1',
        '--drain-time',
        '200ms',
      ])
      return workDir
    }
    const service = async (zone: 'east' | 'west', name: string, version: string, what: string) => {
      const servicePort = port()
      const server = await startEcho({ service: what, zone, version }, local, servicePort)
      closing.push(() => server.close())
      return { name, version, serviceAddress: local, servicePort, port: port() }
    }
    await proxy('east', 'gateway-1', 'gateway.yaml', {})
    await proxy('west', 'ingress-west', 'ingress.yaml', { port: port(), advertisedAddress: local }, 'ingress')
    await proxy('west', 'echo-1', 'service.yaml', await service('west', 'echo-1', scene.version1, scene.service))
    await proxy('west', 'echo-2', 'service.yaml', await service('west', 'echo-2', scene.version2, scene.service))
    const delegatedDir = await proxy('east', 'shop-1', 'delegated.yaml', {})
    await proxy('east', 'client-1', 'client.yaml', {
      ...(await service('east', 'client-1', '', scene.client)),
      outboundPort: clientOutboundPort,
    })
    await proxy('east', 'ingress-east', 'ingress.yaml', { port: port(), advertisedAddress: local }, 'ingress')

    const sidecarResolver = await orFail(claimedResolver(delegatedDir))
    const nginx = findNginx()
    if (nginx) {
      const prefix = join(folder, 'nginx')
      mkdirSync(prefix, { mode: 0o755 })
      const configuration = fillVariables(
        readFileSync(proxyFile('nginx.conf'), 'utf8'),
        {
          prefix,
          resolver: sidecarResolver,
          listen: `${local}:${delegatedPort}`,
          serviceName: meshName(scene.service),
          serviceNamePort: String(scene.servicePort),
        },
        'nginx.conf',
      )
      writeFileSync(join(prefix, 'nginx.conf'), configuration)
      processes.start('nginx', nginx, ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', join(prefix, 'error.log')])
    } else {
      const server = await startNameGateway(
        { resolver: async () => sidecarResolver, name: meshName(scene.service), port: scene.servicePort },
        local,
        delegatedPort,
      )
      closing.push(() => server.close())
    }
    return {
      scene,
      folder,
      global,
      globalAddress: `http://${local}:${globalApi}`,
      adminTokenFile,
      zones: { east, west },
      gatewayPort,
      delegatedPort,
      delegatedKind: nginx ? 'nginx' : 'node',
      clientOutboundPort,
      sidecarResolver,
      variables,
      processes,
      stop,
    }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

const stopped = (signal: AbortSignal): Promise<never> =>
  delay(systemClock, 2 ** 31 - 1, signal).then(() => new Promise<never>(() => {}))

function onlineZones(status: unknown): number {
  const zones: unknown = status !== null && typeof status === 'object' ? Reflect.get(status, 'zones') : undefined
  return Array.isArray(zones) ? zones.filter((zone: { connected?: boolean }) => zone.connected === true).length : 0
}
