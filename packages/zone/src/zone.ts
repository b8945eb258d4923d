import { hostname } from 'node:os'
import { createCompiler } from '@zonemesh/core/compile/compiler.ts'
import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import { createNames } from '@zonemesh/core/names/table.ts'
import type { ApiPlane, Receipt } from '@zonemesh/plane/api/plane.ts'
import { version } from '@zonemesh/plane/api/system.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { openSealer } from '@zonemesh/plane/authority/seal.ts'
import { openServerTls } from '@zonemesh/plane/authority/server-tls.ts'
import { shownValues, type Values } from '@zonemesh/plane/config/options.ts'
import {
  createClosers,
  createReconciler,
  type Env,
  openStore,
  renewalEveryMs,
  repeat,
} from '@zonemesh/plane/lifecycle.ts'
import type { PlanePorts } from '@zonemesh/plane/servers.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { shownSpec } from '@zonemesh/plane/status/shown.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens } from '@zonemesh/plane/tokens/tokens.ts'
import type { Join } from '@zonemesh/shared/auth/join.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { globalOrigin, keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import type { ServedStatus } from '@zonemesh/shared/sync/session.ts'
import { startUplink } from '@zonemesh/shared/sync/uplink.ts'
import { deriveOnCommit, loadDerivations } from './commits/deriving-store.ts'
import { createDoor } from './door/door.ts'
import { createEngine } from './engine/engine.ts'
import { createProgress } from './engine/progress.ts'
import { createLeases } from './leases/leases.ts'
import { createNameFeeds } from './names/feeds.ts'
import { createAskers, startResolver } from './names/resolver.ts'
import type { zoneOptions } from './options.ts'
import { createRefusals, type Refusals } from './refusals/refusals.ts'
import { createSecrets } from './secrets/secrets.ts'
import { createProxyStatus } from './status/proxies.ts'
import { createReporter } from './status/reporter.ts'
import { createZoneStatus } from './status/status.ts'
import { startXdsServer } from './xds/server.ts'

export type ZoneConfig = Values<typeof zoneOptions>

export interface RunningZone extends PlanePorts {
  readonly name: string
  readonly proxyPort: number
  readonly dnsPort: number
  close(): Promise<void>
}

/** The zone that a join token names. The global checks the token; a zone only has to know what it is called. */
export function zoneNameOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const name: unknown = claims !== null && typeof claims === 'object' ? Reflect.get(claims, 'Zone') : undefined
    if (typeof name === 'string' && name !== '') return name
  } catch {
    // Falls through to the one sentence for every kind of bad token.
  }
  throw new Error('the token in the join string names no zone; make one with `zonemesh token zone NAME`')
}

/** A zone without a global owns everything, so it makes what a global would have made. */
async function ensureStandalone(store: Store, zone: string): Promise<void> {
  for (const [kind, name, spec] of [
    ['Mesh', 'default', {}],
    ['Zone', zone, { enabled: true }],
  ] as const) {
    await store.commit({
      changes: [{ op: 'put', key: { origin: zone, kind, mesh: '', name }, labels: {}, spec, expect: { absent: true } }],
      subject: 'mesh-system:control-plane',
      intent: `the ${kind} that is always there`,
    })
  }
}

/** A store belongs to the zone that made its own rows in it: under another name they would count as a stranger's. */
async function requireOwnStore(store: Store, zone: string, dataDir: string | undefined): Promise<void> {
  const own = [...(await store.scan({ kind: positionKind })), ...(await store.scan({ kind: 'Zone' }))]
  const other = own.find(({ key }) => key.origin !== zone && key.origin !== globalOrigin)
  if (other)
    throw new Error(`expected a store of zone "${zone}" in ${dataDir}, found the one of zone "${other.key.origin}"`)
}

const nothingServed: ServedStatus = { served: 0, verdicts: [], silentProxies: [], proxies: 0, proxiesConnected: 0 }

/** Starts a zone control plane: joined to a global, or standalone. Serves from its own store from the first moment. */
export async function startZone(
  env: Env,
  config: ZoneConfig,
  join: Join | undefined,
  shown: Parameters<typeof shownValues>[0],
): Promise<RunningZone> {
  const { clock, log, random } = env
  const closers = createClosers(log)
  try {
    const zone = join ? zoneNameOf(join.token) : (config.name ?? '')
    const role = join ? ('zone' as const) : ('standalone' as const)
    const raw = await openStore(env, config.dataDir, config.historyRevisions)
    closers.add('the store', () => raw.close())
    await requireOwnStore(raw, zone, config.dataDir)
    const sealer = openSealer(config.dataDir)
    const tls = await openServerTls(env, config.dataDir, config.tlsHosts)
    const derivations = [createAnnouncements({ zone }), createAddressBook({ zone })]
    await loadDerivations(raw, derivations)
    const store = deriveOnCommit(env, raw, derivations)
    if (role === 'standalone') await ensureStandalone(store, zone)
    const commit: Store['commit'] = (input) => store.commit(input)

    const base = { store, sealer, origin: zone, zone, clock, log, commit }
    const tokens = createTokens(
      env,
      createKeySource({ ...base, owns: (purpose) => role === 'standalone' || purpose === 'user' }),
    )
    const holder = createAuthorityHolder(base)
    const owner = role === 'standalone' ? createAuthorityOwner(base) : undefined
    const status = createProxyStatus({ clock, instanceId: hostname() })
    const progress = createProgress(clock)
    const names = createNames()
    const askers = createAskers()
    const compiler = createCompiler({ zone })
    const nameFeeds = createNameFeeds({ names, storeId: store.id })
    const secrets = createSecrets({ holder, clock, log }, () => engine.refresh())
    closers.add('secrets', () => secrets.close())
    const authorities = createReconciler(log, 'the authorities of meshes', async () => {
      await owner?.reconcile()
      const changed = await holder.reconcile()
      for (const mesh of changed) secrets.forget(mesh)
      if (changed.size > 0) engine.refresh()
    })
    const authorityKinds = new Set(['Mesh', 'MeshRoot', 'AuthorityRequest', 'AuthorityCertificate'])
    const refusals: Refusals = createRefusals({
      store,
      zone,
      compiler,
      engine: () => engine,
      log,
      changed: () => reporter.update(),
    })
    const reporter = createReporter({ clock, progress, status, refusals })
    const engine = createEngine({
      store,
      compiler,
      names,
      secrets,
      progress,
      log,
      namesChanged: (meshes) => nameFeeds.changed(meshes),
      marked(versions) {
        for (const { key } of versions) status.reconsider(keyText(key))
        refusals.marked(versions)
        askers.applied(versions)
        if (versions.some(({ key }) => authorityKinds.has(key.kind))) void authorities.wake()
        reporter.update()
      },
    })
    closers.add('the engine', () => engine.close())
    const renewal = repeat(clock, renewalEveryMs, () => authorities.wake())
    closers.add('renewal', () => renewal[Symbol.dispose]())
    const leases = createLeases({
      clock,
      log,
      async remove(proxy, why) {
        const [origin = '', kind = '', mesh = '', name = ''] = proxy.split('/')
        log.info({ proxy }, `a proxy is removed: ${why}`)
        await store.commit({
          changes: [{ op: 'delete', key: { origin, kind, mesh, name } }],
          subject: 'mesh-system:control-plane',
          intent: why,
        })
        status.forgotten(proxy)
      },
    })
    closers.add('leases', () => leases.close())
    await engine.start()
    await refusals.load()
    await authorities.wake()

    const door = createDoor({
      ...base,
      role,
      tokens,
      engine,
      leases,
      nameFeeds,
      status,
      random,
      refusals,
      served(proxy, serial) {
        // First, so that a search that goes on is on its way before this answer counts.
        refusals.served(proxy, serial)
        progress.served(proxy, serial)
        reporter.update()
      },
    })
    const xds = await startXdsServer(door, {
      host: config.host,
      port: config.proxyPort,
      tls: { key: tls.key, certificate: tls.certificate, authority: tls.authority },
    })
    closers.add('the proxy port', () => xds[Symbol.asyncDispose]())
    const resolver = await startResolver(
      { clock, log, random, names: nameFeeds, askers },
      {
        host: config.dnsHost ?? config.host,
        port: config.dnsPort,
        forward: config.dnsForward,
        defaultMesh: config.dnsDefaultMesh,
      },
    )
    closers.add('the resolver', () => resolver[Symbol.asyncDispose]())

    const served = createLatest<ServedStatus>(nothingServed)
    reporter.onUpdate((next) => served.set(next))
    const report = createLatest<Readonly<Record<string, JsonObject>>>({})
    const uplink = join
      ? startUplink(
          {
            store,
            clock,
            random,
            log,
            rules: sightRules,
            served,
            report,
            onApplied: (applied) => reporter.applied(applied.position.revision, applied.localMark.revision),
          },
          {
            address: join.address.replace(/^https?:\/\/|\/$/g, ''),
            token: join.token,
            pinSha256Hex: join.pin,
            zone,
            version,
            hostname: hostname(),
            ...(config.acceptGlobal === undefined ? {} : { acceptGlobalStore: config.acceptGlobal }),
          },
        )
      : undefined
    if (uplink) closers.add('the uplink', () => uplink[Symbol.asyncDispose]())

    const zoneStatus = createZoneStatus({ store, engine, status, refusals, progress, leases, uplink, role, zone })
    const tell = () =>
      report.set(
        Object.fromEntries(status.proxies().map((proxy) => [proxy, zoneStatus.insightOf(proxy, secrets) ?? {}])),
      )
    status.onChange(tell)
    // Proxies may have come back before this line.
    tell()
    const plane: ApiPlane = {
      role,
      origin: zone,
      writeElsewhere: join?.address ?? '',
      store,
      tokens,
      sealer,
      clock,
      log,
      localhostIsAdmin: config.localhostIsAdmin,
      instanceId: `${hostname()}-${process.pid.toString(16)}`,
      commit,
      insight: (kind, row) => zoneStatus.insight(kind, row, secrets),
      status: () => zoneStatus.report(),
      isZoneOnline: (name) => name === zone,
      receipt: (revision, level, _zones, timeoutMs) =>
        waitHere(env, zone, engine, progress, reporter, revision, level, timeoutMs),
      config: { mode: 'zone', environment: 'universal', zone, ...shownValues(shown, config) } as JsonObject,
      join: { pin: tls.pin, proxyPort: xds.port },
      decorate: (kind, row) => shownSpec({ store, sealer }, kind, row),
    }
    const meter = () => ({
      zonemesh_units_compiled_total: compiler.counters.unitsCompiled,
      zonemesh_proxies_connected: engine.live().length,
    })
    // Loaded only now: names and proxies, which have waited, are served before the API is read from disk.
    const { startServers } = await import('@zonemesh/plane/servers.ts')
    const ports = await startServers(plane, config, tls, meter, closers)
    log.info(
      { zone, role, ...ports, proxies: xds.port, dns: resolver.port, global: join?.address ?? 'none' },
      'the zone control plane is ready',
    )
    return { ...ports, name: zone, proxyPort: xds.port, dnsPort: resolver.port, close: () => closers.close() }
  } catch (thrown) {
    await closers.close()
    throw thrown
  }
}

/** A receipt for a write on this very zone: stored at once, served when its proxies say so. */
async function waitHere(
  env: Env,
  zone: string,
  engine: ReturnType<typeof createEngine>,
  progress: ReturnType<typeof createProgress>,
  reporter: ReturnType<typeof createReporter>,
  revision: number,
  level: 'stored' | 'served',
  timeoutMs: number,
): Promise<Receipt> {
  const startMs = env.clock.monotonicMs()
  const reached = () => (level === 'stored' ? engine.mark.value : progress.read().mark) >= revision
  if (!reached()) {
    await new Promise<void>((resolve) => {
      const finish = () => {
        timer[Symbol.dispose]()
        listening[Symbol.dispose]()
        resolve()
      }
      const timer = env.clock.after(timeoutMs, finish)
      const listening = reporter.onUpdate(() => {
        if (reached()) finish()
      })
    })
  }
  const done = reached()
  const delayMs = env.clock.monotonicMs() - startMs
  return {
    revision: String(revision),
    level,
    complete: done,
    zones: [{ zone, state: done ? 'reached' : 'pending', ...(done ? { delayMs } : {}) }],
  }
}
