import { createOwnHosts } from '@zonemesh/plane/api/hosts.ts'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { createCatalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { shownValues } from '@zonemesh/plane/config/options.ts'
import { type Closers, createClosers, type Env, processName } from '@zonemesh/plane/lifecycle.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { RunningPlane } from '@zonemesh/plane/servers.ts'
import { createExpiry } from '@zonemesh/plane/status/expiry.ts'
import { shownSpec } from '@zonemesh/plane/status/shown.ts'
import { openTracing } from '@zonemesh/plane/tracing/tracing.ts'
import { addressesOf, type Join } from '@zonemesh/shared/auth/join.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import { openBase, type ZoneBase } from './base.ts'
import { createKeys, startCore, type ZoneCore } from './core.ts'
import { createDoor } from './door/door.ts'
import { globalApiOf } from './global-api.ts'
import { zoneNameOf } from './join-file.ts'
import { type Joined, startJoined } from './joined.ts'
import { followUplinks, showUplink, showZone } from './metrics/figures.ts'
import { createZoneObserver, type ZoneObserver } from './metrics/observer.ts'
import { startResolver } from './names/resolver.ts'
import type { ZoneConfig } from './options.ts'
import { askOwnZone, createZoneQueries } from './queries.ts'
import { waitForReceipt } from './receipt.ts'
import { releaseHold } from './release.ts'
import { createZoneReplicaQueries } from './replica-queries.ts'
import { expiringOf } from './status/expiring.ts'
import { createProxyViews } from './status/proxy-views.ts'
import { proxySights } from './status/sights.ts'
import { createZoneStatus, uplinkOf } from './status/status.ts'
import { proxyKey } from './xds/contract.ts'
import { startXdsServer } from './xds/server.ts'

export interface RunningZone extends RunningPlane {
  readonly name: string
  readonly proxyPort: number
  readonly dnsPort: number
  readonly adminKey: string
  close(): Promise<void>
}

/** Opens the resolver and the port for proxies. Both serve what the core has already compiled. */
async function startDoors(
  base: ZoneBase & { readonly observer: ZoneObserver },
  core: ZoneCore,
  config: ZoneConfig,
  closers: Closers,
) {
  const { tls } = base
  const resolver = await startResolver(
    { ...base, names: core.nameFeeds, dnsClients: core.dnsClients },
    {
      host: config.dnsHost ?? config.host,
      port: config.dnsPort,
      forward: config.dnsForward,
      defaultMesh: config.dnsDefaultMesh,
    },
  )
  closers.add('the resolver', () => resolver[Symbol.asyncDispose]())
  const door = createDoor({
    ...base,
    ...core,
    served(proxy, serial) {
      // First: the search sends its next table before this answer counts, so the mark is not served too early.
      core.refusals.served(proxy, serial)
      core.progress.served(proxy, serial)
      core.reporter.update()
    },
  })
  const xds = await startXdsServer(
    {
      ...door,
      observer: base.observer,
      refused(proxy, refusal) {
        core.trace.refused(keyText(proxyKey(base.zone, proxy)), refusal.name)
        door.refused(proxy, refusal)
      },
    },
    {
      host: config.host,
      port: config.proxyPort,
      tls: { key: tls.key, certificate: tls.certificate, authority: tls.authority },
    },
  )
  closers.add('the proxy port', () => xds[Symbol.asyncDispose]())
  const ports = { proxyPort: xds.port, dnsPort: resolver.port }
  const { zone } = base
  return {
    ports,
    proxySights: () => proxySights({ ...core, zone }, xds),
    proxyViews: createProxyViews({ ...core, zone, xds }),
  }
}

const noGlobal = err({ code: 'ended', reason: 'this zone has no global' } as const)

/**
 * Starts a zone control plane, joined to a global or standalone. It serves from its own store, without waiting for
 * the global.
 */
export async function startZone(
  given: Env,
  config: ZoneConfig,
  join: Join | undefined,
  shown: Parameters<typeof shownValues>[0],
): Promise<RunningZone> {
  const metrics = createMetrics(join ? 'zone' : 'standalone')
  const zone = join ? zoneNameOf(join.token) : (config.name ?? '')
  const log = given.log.child({ zone })
  const closers = createClosers(log)
  try {
    const role = join ? 'zone' : 'standalone'
    const tracer = await openTracing(
      { ...given, log },
      { service: 'zonemesh-zone', instance: processName(), attributes: { 'zonemesh.zone': zone } },
      closers,
    )
    const env = { ...given, metrics, log, tracer }
    const observer = createZoneObserver(metrics, env.clock)
    const base = { ...(await openBase(env, config, zone, role, closers)), observer }
    const core = await startCore(base, closers, (hooks) => createKeys(base, hooks))
    const { ports: doors, ...own } = await startDoors(base, core, config, closers)
    base.placement.opened(doors.proxyPort, doors.dnsPort)
    const report = createLatest(base.grants.entries)
    const together = createZoneReplicaQueries(
      { ...base, ...core, relay: { ...base, notes: base.store.notes } },
      {
        proxy: own.proxyViews,
        sights: own.proxySights,
        askGlobal: async (name, request, signal) => (joined ? joined.ask(name, request, signal) : noGlobal),
        async release(hold) {
          const released = await releaseHold({ zone, uplink: joined, removeLost: core.removeLost }, hold)
          if (released.ok && joined) metrics.count('zonemesh_uplink_releases_total', {})
          return released.ok ? ok({ ...released.value }) : released
        },
      },
    )
    closers.add('the questions of replicas', () => together[Symbol.asyncDispose]())
    const proxySights = together.sights
    const sight = { store: base.store, origin: zone, role, proxySights } as const
    const queries = createZoneQueries({ sight, proxy: together.proxy })
    const joined: Joined | undefined = startJoined(
      base,
      core,
      config,
      join,
      { report, queries },
      followUplinks(metrics),
      closers,
    )
    const token = () => joined?.join().token
    const expiry = createExpiry({ ...env, sources: () => expiringOf({ ...base, ...core, token }) })
    closers.add('the report of expiring certificates', () => expiry.close())
    const catalogue = createCatalogue(base.store)
    if (joined) core.showUplink(() => uplinkOf(joined.state(), base.clock.monotonicMs()))
    const zoneStatus = createZoneStatus({ ...base, ...core, uplink: joined, expiry, catalogue })
    const readReport = (): Readonly<Record<string, JsonObject>> => ({
      ...base.grants.entries(),
      ...zoneStatus.insights(),
    })
    const reportAgain = () => report.set(readReport)
    const numbers = base.grants.onNumbers(reportAgain)
    closers.add('the report of numbers', () => numbers[Symbol.dispose]())
    core.status.onChange(reportAgain)
    core.onIdentity(reportAgain)
    core.replicas.onChange(reportAgain)
    // Proxies may have connected before this line.
    reportAgain()
    const localhostIsAdmin = config.localhostIsAdmin ?? isLoopback(config.host)
    const isOwnHost = createOwnHosts([...config.tlsHosts, ...config.apiHosts])
    const plane: ApiPlane = {
      ...base,
      catalogue,
      globalApi: join ? globalApiOf(join) : '',
      localhostIsAdmin,
      anonymousRules: { anonymous: config.anonymous, isOwnHost },
      instanceId: processName(),
      proxySights,
      askZone: askOwnZone({ zone, queries }),
      ...(joined ? { askGlobal: together.askGlobal } : {}),
      insight: (kind, row) => zoneStatus.insight(kind, row),
      status: () => zoneStatus.report(),
      isZoneOnline: (name) => name === zone,
      // The replica that has released the hold has answered with it.
      releaseHold: async (_zone, hold) => (await together.release(hold)) as Result<Hold, string>,
      receipt: ({ revision, level, timeoutMs }) => waitForReceipt(base, core, revision, level, timeoutMs),
      config: {
        mode: 'zone',
        environment: 'universal',
        zone,
        ...shownValues(shown, { ...config, localhostIsAdmin }),
      } as JsonObject,
      join: { pin: base.tls.pin, host: config.host, proxyPort: doors.proxyPort },
      decorate: (kind, row) => shownSpec(base, kind, row),
    }
    showZone(metrics, { ...core, expiry })
    if (joined) showUplink(metrics, env.clock, joined)
    // Loaded late: waiting proxies and DNS clients are served before the code of the API is read from disk.
    const { startServers } = await import('@zonemesh/plane/servers.ts')
    const { ports, routes } = await startServers(plane, config, base.tls, metrics, closers)
    env.log.info(
      { role, ...ports, ...doors, global: join ? addressesOf(join).join(', ') : 'none' },
      'the zone control plane is ready',
    )
    catalogue.warm()
    base.placement.opened(ports.apiPort, ports.apiTlsPort, ports.healthPort)
    return { ...ports, ...doors, routes, name: zone, adminKey: base.adminKey, close: () => closers.close() }
  } catch (thrown) {
    await closers.close()
    throw thrown
  }
}
