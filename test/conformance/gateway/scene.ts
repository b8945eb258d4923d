import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@zonemesh/cli/base/client.ts'
import type { ZoneName } from '@zonemesh/cli/demo/run.ts'
import { startGlobalProcess, startZoneProcess, type ZonePlace } from '@zonemesh/cli/scene/planes.ts'
import { blockPorts, freePorts } from '@zonemesh/cli/scene/ports.ts'
import { startProxyProcess } from '@zonemesh/cli/scene/proxies.ts'
import { local } from '@zonemesh/cli/scene/scene-file.ts'
import { createStage, type Stage } from '@zonemesh/cli/scene/stage.ts'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { createRoot, createServerCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { until } from '../../e2e/rig.ts'
import { type AnyFeature, base, gateway, mesh, meshGateway, routesOf, services } from './documents.ts'
import { type Seen, startHttp, startTcp, startTls } from './echo.ts'
import { secrets } from './features/tls.ts'

const zoneNames = ['east', 'west'] as const
const portsOfScene = 40

export interface Scene extends AsyncDisposable {
  /** The authority of all certificates in this scene, PEM. */
  readonly ca: string
  readonly global: Client
  /** The port of a feature's listeners with this letter. */
  portOf(feature: string, at?: string): number
  /** Starts another proxy from its document. */
  startProxy(zone: ZoneName, resource: JsonObject): Promise<unknown>
  /** Stops a proxy as its operator does, by its name. Returns a function that starts it again. */
  stopProxy(name: string): Promise<() => unknown>
  readonly zones: Readonly<Record<ZoneName, ZonePlace>>
  /** The work folder of a proxy. */
  workDirOf(proxy: string): string
  /** The requests of one case that services received. */
  seen(name: string): readonly Seen[]
}

/** A global, two zones, a gateway, ingresses and services, with every feature applied in one commit. */
export async function startScene(features: readonly AnyFeature[]): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-conformance-'))
  const stop = new AbortController()
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  process.env['ZONEMESH_ENVOY'] = await findEnvoy({ env: process.env, progress }, stop.signal)
  const port = await blockPorts(systemRandom, portsOfScene)
  const stage = createStage({ folder, steps: { done: () => {} }, port }, stop.signal)
  const close = async () => {
    await stage.stop()
    stop.abort()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    return await start(stage, folder, features, close)
  } catch (thrown) {
    await close()
    throw thrown
  }
}

async function start(
  stage: Stage,
  folder: string,
  features: readonly AnyFeature[],
  close: () => Promise<void>,
): Promise<Scene> {
  const ports = await portsOf(features)
  const seen: Seen[] = []
  const authority = await createAuthority()
  const { global, syncPort } = await startGlobalProcess(stage)
  const zones = {
    east: await startZoneProcess(stage, global, syncPort, 'east'),
    west: await startZoneProcess(stage, global, syncPort, 'west'),
  }
  await apply(global, [
    ...base,
    ...authority.secrets,
    ...(features.length > 0 ? [meshGateway(features, ports)] : []),
    ...features.flatMap(routesOf),
  ])
  const startProxy = (zone: ZoneName, resource: JsonObject) =>
    startProxyProcess(stage, global, zone, zones[zone], resource)
  for (const zone of zoneNames) {
    const inbound: JsonObject[] = []
    for (const one of services.filter((each) => each.zone === zone)) {
      const servicePort = stage.port()
      const server =
        one.protocol === 'http'
          ? await startHttp(one, servicePort, (saw) => seen.push(saw))
          : one.protocol === 'tcp'
            ? await startTcp(one, servicePort)
            : await startTls(one, servicePort, authority.ofService)
      stage.onStop(() => server.close())
      inbound.push({
        port: stage.port(),
        serviceAddress: local,
        servicePort,
        tags: {
          'kuma.io/service': one.service,
          'kuma.io/protocol': one.protocol === 'http' ? 'http' : 'tcp',
          version: one.version,
        },
      })
    }
    await startProxy(zone, {
      type: 'Dataplane',
      mesh,
      name: `services-${zone}`,
      networking: { address: local, inbound },
    })
    const port = stage.port()
    await startProxy(zone, {
      type: 'ZoneIngress',
      name: `ingress-${zone}`,
      networking: { address: local, port, advertisedAddress: local, advertisedPort: port },
    })
  }
  await startProxy('east', {
    type: 'Dataplane',
    mesh,
    name: 'gateway-east',
    networking: { address: local, gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': gateway } } },
  })
  return {
    ca: authority.ca,
    global,
    zones,
    startProxy,
    stopProxy: (name) => stage.processes.kill(name, 'SIGTERM'),
    workDirOf: (proxy) => join(folder, proxy),
    portOf: (feature, at = 'a') => {
      const port = ports.get(`${feature}/${at}`)
      if (port === undefined) throw new Error(`feature ${feature} has no listener at "${at}"`)
      return port
    },
    seen: (name) => seen.filter(({ headers }) => headers['x-conformance-case'] === name),
    [Symbol.asyncDispose]: close,
  }
}

async function portsOf(features: readonly AnyFeature[]): Promise<ReadonlyMap<string, number>> {
  const names = new Set(
    features.flatMap(({ name, listeners = [{}] }) => listeners.map(({ at = 'a' }) => `${name}/${at}`)),
  )
  const free = await freePorts(systemRandom, names.size)
  return new Map([...names].map((name, index) => [name, free[index] ?? 0]))
}

/** Creates the certificates of listeners, as Secrets of the mesh, and the one that a service presents itself. */
async function createAuthority() {
  const life = lifetime(Date.now(), 30)
  const root = await createRoot('conformance', life)
  const made = await Promise.all(
    Object.entries(secrets).map(async ([name, hosts]): Promise<JsonObject> => {
      const { certificate, key } = await createServerCertificate(root, hosts, life)
      return { type: 'Secret', mesh, name, data: Buffer.from(`${certificate}${key}`).toString('base64') }
    }),
  )
  const { certificate, key } = await createServerCertificate(root, ['service.example'], life)
  return { ca: root.certificate, secrets: made, ofService: { cert: certificate, key } }
}

async function apply(global: Client, documents: readonly JsonObject[]): Promise<void> {
  const reply = await global.need('POST', '/_commit', { documents, atomic: true, intent: 'conformance' })
  const { outcomes } = reply.json as { readonly outcomes: readonly JsonObject[] } // the plane's own type
  const refused = outcomes.filter(({ outcome }) => outcome === 'refused')
  if (refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused)}`)
  await until(
    'both zones are connected',
    async () => (await global.need('GET', '/_status')).json,
    (status) =>
      (status as { zones: readonly { connected: boolean }[] }).zones.filter((one) => one.connected).length === 2,
  )
}
