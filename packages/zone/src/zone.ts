import { hostname } from 'node:os'
import { createOwnHosts } from '@zonemesh/plane/api/hosts.ts'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { createCatalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { shownValues } from '@zonemesh/plane/config/options.ts'
import { type Closers, createClosers, type Env } from '@zonemesh/plane/lifecycle.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import type { RunningPlane } from '@zonemesh/plane/servers.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { createExpiry } from '@zonemesh/plane/status/expiry.ts'
import { lostHoldId } from '@zonemesh/plane/status/lost.ts'
import { shownSpec } from '@zonemesh/plane/status/shown.ts'
import { addressesOf, type Join } from '@zonemesh/shared/auth/join.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { nothingServed, type ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import { startUplink, type Uplink, type UplinkDeps } from '@zonemesh/shared/sync/uplink.ts'
import { dialGrpc } from '@zonemesh/shared/transport/grpc.ts'
import { dialInTurn } from '@zonemesh/shared/transport/rotation.ts'
import type { Dialer } from '@zonemesh/shared/transport/transport.ts'
import { dialWebSocket } from '@zonemesh/shared/transport/websocket.ts'
import { isWebSocketAddress, readWebSocketAddress } from '@zonemesh/shared/transport/websocket-address.ts'
import { openBase, type ZoneBase } from './base.ts'
import { createKeys, startCore, type ZoneCore } from './core.ts'
import { createDoor } from './door/door.ts'
import { globalApiOf } from './global-api.ts'
import { followJoinFile, zoneNameOf } from './join-file.ts'
import { showUplink, showZone } from './metrics/figures.ts'
import { createZoneObserver, type ZoneObserver } from './metrics/observer.ts'
import { startResolver } from './names/resolver.ts'
import type { ZoneConfig } from './options.ts'
import { askOwnZone, createZoneQueries } from './queries.ts'
import { waitForReceipt } from './receipt.ts'
import { releaseHold } from './release.ts'
import { expiringOf } from './status/expiring.ts'
import { createProxyViews } from './status/proxy-views.ts'
import { proxySights } from './status/sights.ts'
import { createZoneStatus } from './status/status.ts'
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
    { ...door, observer: base.observer },
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

/** Creates the dialer for the addresses in a join string, which are tried in turn. Throws if one is invalid. */
function createDialer(join: Join): Dialer {
  return dialInTurn(addressesOf(join).map((address) => createDialerFor(address, join)))
}

/** The dialer for one address: gRPC, or the same frames over WebSocket. */
function createDialerFor(address: string, { token, pin: pinSha256Hex }: Join): Dialer {
  if (!isWebSocketAddress(address)) {
    const hostAndPort = address.replace(/^https?:\/\/|\/$/g, '')
    return dialGrpc({ address: hostAndPort, path: syncPath, token, pinSha256Hex })
  }
  const route = readWebSocketAddress(address)
  if (!route.ok) throw new Error(`the address in the join string cannot be used: ${route.error}`)
  return dialWebSocket({ address, token, pinSha256Hex })
}

/** Dials with the newest join string, which is looked up at each attempt. */
function createNewestDialer(newest: () => Join): Dialer {
  let cached: { readonly join: Join; readonly dialer: Dialer } | undefined
  const dialer = (): Dialer => {
    const join = newest()
    if (cached?.join !== join) cached = { join, dialer: createDialer(join) }
    return cached.dialer
  }
  return { dial: async (signal) => dialer().dial(signal), forget: () => cached?.dialer.forget() }
}

interface Joined {
  readonly uplink: Uplink
  /** The join string in use. */
  join(): Join
}

/** Keeps the session with the global and reports what this zone serves. Returns undefined for a standalone zone. */
function startJoined(
  base: ZoneBase,
  core: ZoneCore,
  config: ZoneConfig,
  join: Join | undefined,
  shownToGlobal: Required<Pick<UplinkDeps, 'report' | 'queries'>>,
  closers: Closers,
): Joined | undefined {
  if (!join) return undefined
  const served = createLatest<ServedStatus>(nothingServed)
  core.reporter.onUpdate((next) => served.set(next))
  const onApplied: Parameters<typeof startUplink>[0]['onApplied'] = ({ position, localMark }) =>
    core.reporter.applied(position, localMark.revision)
  const onUnknownPosition = () => core.reporter.forgetServed()
  const address = addressesOf(join)
    .map((one) => one.replace(/^https?:\/\/|\/$/g, ''))
    .join(', ')
  const onRelease = (hold: string): boolean => {
    if (hold !== lostHoldId) return false
    core.removeLost().catch((cause: unknown) => base.log.warn({ err: cause }, 'cannot remove lost proxies'))
    return true
  }
  // Throws now if the address is invalid, instead of at the first attempt to dial.
  createDialer(join)
  const renewed = () => uplink.redial('this zone continues with a newer token')
  const path = config.joinFile
  const file = path === undefined ? undefined : followJoinFile(base, { path, zone: base.zone, first: join }, renewed)
  const newest = () => file?.current() ?? join
  const dialer = createNewestDialer(newest)
  const uplink = startUplink(
    {
      ...base,
      log: base.log.child({ address }),
      rules: sightRules,
      ...shownToGlobal,
      served,
      grants: base.grants,
      onApplied,
      onUnknownPosition,
      onRelease,
    },
    {
      dialer,
      zone: base.zone,
      version,
      hostname: hostname(),
      ...(config.acceptGlobal === undefined ? {} : { acceptGlobalStore: config.acceptGlobal }),
    },
  )
  closers.add('the uplink', () => uplink[Symbol.asyncDispose]())
  const grants = base.grants.follow(uplink)
  closers.add('the grants of numbers', () => grants[Symbol.dispose]())
  closers.add('the join file', () => file?.close())
  return { uplink, join: newest }
}

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
  const env = { ...given, metrics }
  const closers = createClosers(env.log)
  try {
    const zone = join ? zoneNameOf(join.token) : (config.name ?? '')
    const role = join ? 'zone' : 'standalone'
    const observer = createZoneObserver(metrics, env.clock)
    const base = { ...(await openBase(env, config, zone, role, closers)), observer }
    const core = await startCore(base, closers, (hooks) => createKeys(base, hooks))
    const { ports: doors, proxySights, proxyViews } = await startDoors(base, core, config, closers)
    base.placement.opened(doors.proxyPort, doors.dnsPort)
    const report = createLatest(base.grants.entries)
    const sight = { store: base.store, origin: zone, role, proxySights } as const
    const queries = createZoneQueries({ sight, proxy: proxyViews })
    const joined = startJoined(base, core, config, join, { report, queries }, closers)
    const uplink = joined?.uplink
    const token = () => joined?.join().token
    const expiry = createExpiry({ ...env, sources: () => expiringOf({ ...base, ...core, token }) })
    closers.add('the report of expiring certificates', () => expiry.close())
    const catalogue = createCatalogue(base.store)
    const zoneStatus = createZoneStatus({ ...base, ...core, uplink, expiry, catalogue })
    const readReport = (): Readonly<Record<string, JsonObject>> => ({
      ...base.grants.entries(),
      ...Object.fromEntries(
        core.status.proxies().map((proxy) => [proxy, zoneStatus.insightOf(proxy, core.secrets) ?? {}]),
      ),
    })
    const reportAgain = () => report.set(readReport)
    const numbers = base.grants.onNumbers(reportAgain)
    closers.add('the report of numbers', () => numbers[Symbol.dispose]())
    core.status.onChange(reportAgain)
    core.onIdentity(reportAgain)
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
      instanceId: `${hostname()}-${process.pid.toString(16)}`,
      proxySights,
      askZone: askOwnZone({ zone, queries }),
      ...(uplink ? { askGlobal: uplink.ask } : {}),
      insight: (kind, row) => zoneStatus.insight(kind, row, core.secrets),
      status: () => zoneStatus.report(),
      isZoneOnline: (name) => name === zone,
      async releaseHold(_zone, hold) {
        const released = await releaseHold({ zone, uplink, removeLost: core.removeLost }, hold)
        if (released.ok && uplink) metrics.count('zonemesh_uplink_releases_total', {})
        return released
      },
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
    const shownUplink = uplink && showUplink(metrics, env.clock, uplink)
    closers.add('the metrics of the uplink', () => shownUplink?.[Symbol.dispose]())
    // Loaded late: waiting proxies and DNS clients are served before the code of the API is read from disk.
    const { startServers } = await import('@zonemesh/plane/servers.ts')
    const { ports, routes } = await startServers(plane, config, base.tls, metrics, closers)
    env.log.info(
      { zone, role, ...ports, ...doors, global: join ? addressesOf(join).join(', ') : 'none' },
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
