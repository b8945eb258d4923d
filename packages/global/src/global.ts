import { hostname } from 'node:os'
import { parseAs, reasonOf } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, isWithin, zone as zoneKind, zoneLimits } from '@zonemesh/core/kinds/zone.ts'
import { recallOf } from '@zonemesh/core/names/recall.ts'
import { createOwnHosts } from '@zonemesh/plane/api/hosts.ts'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { createPlacement } from '@zonemesh/plane/api/placement.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { openFolderKeys } from '@zonemesh/plane/authority/folder-keys.ts'
import { sealStoredInlineKeys } from '@zonemesh/plane/authority/inline-keys.ts'
import { createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { createCatalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { certificateSources, createCertificateKeeper } from '@zonemesh/plane/certificates/keeper.ts'
import { shownValues, type Values } from '@zonemesh/plane/config/options.ts'
import { requireKnownStore } from '@zonemesh/plane/identity-file.ts'
import {
  createClosers,
  createReconciler,
  type Env,
  instanceName,
  openLeadership,
  openStore,
  processName,
  renewalEveryMs,
} from '@zonemesh/plane/lifecycle.ts'
import { createMetrics } from '@zonemesh/plane/metrics/metrics.ts'
import { type PlanePorts, type RunningPlane, startServers } from '@zonemesh/plane/servers.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { createExpiry } from '@zonemesh/plane/status/expiry.ts'
import { shownSpec } from '@zonemesh/plane/status/shown.ts'
import { createTokenKeeper, publicTokenKinds, secretKinds } from '@zonemesh/plane/tokens/keeper.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens, type Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { createTokenWatch, type TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { openTracing } from '@zonemesh/plane/tracing/tracing.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { asLeader, onLead } from '@zonemesh/shared/leader/election.ts'
import { globalOrigin, keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { observeCommits } from '@zonemesh/shared/store/wrap.ts'
import type { Admitted } from '@zonemesh/shared/sync/handshake.ts'
import { syncPath } from '@zonemesh/shared/sync/handshake.ts'
import { startSyncServer } from '@zonemesh/shared/sync/server.ts'
import { listenGrpc } from '@zonemesh/shared/transport/grpc.ts'
import { createWebSocketDoor } from '@zonemesh/shared/transport/websocket.ts'
import { createZoneLimits } from './limits/limits.ts'
import { createZoneQuotas } from './limits/quotas.ts'
import { createGlobalFigures } from './metrics/figures.ts'
import { createSyncObserver } from './metrics/sync-observer.ts'
import type { globalOptions } from './options.ts'
import { waitForReceipt } from './receipt.ts'
import { createKeysFile, keptKinds, keysFileName } from './recovery/keys-file.ts'
import { requestRelease } from './release.ts'
import { createReplicaQueries } from './replica-queries.ts'
import { enabledZones } from './status/enabled-zones.ts'
import { expiringOf } from './status/expiring.ts'
import { createStatus } from './status/status.ts'
import { openTrail } from './trail/trail.ts'
import { createZoneQueries } from './zone-queries.ts'

export type GlobalConfig = Values<typeof globalOptions>

export interface RunningGlobal extends RunningPlane {
  readonly syncPort: number
  readonly pin: string
  readonly adminKey: string
  close(): Promise<void>
}

async function ensureDefaults(store: Store): Promise<void> {
  await store.commit({
    changes: [
      {
        op: 'put',
        key: { origin: globalOrigin, kind: 'Mesh', mesh: '', name: 'default' },
        labels: {},
        spec: {},
        expect: { absent: true },
      },
    ],
    subject: 'mesh-system:control-plane',
    intent: 'create the default Mesh',
  })
}

/**
 * Authenticates a zone by its token: the token is valid and its scope contains `cp`, and the Zone exists and is
 * enabled. The session of the zone ends when the token becomes invalid.
 */
async function authenticateZone(
  tokens: Tokens,
  watch: TokenWatch,
  store: Store,
  token: string,
): Promise<Result<Admitted, string>> {
  const claims = await tokens.verify('zone', '', token)
  if (!claims.ok) return claims
  const { Zone, Scope } = claims.value
  const zone = typeof Zone === 'string' ? Zone : ''
  const scopes: readonly unknown[] = Array.isArray(Scope) ? Scope : []
  if (zone === '') return err('the token names no zone')
  if (!scopes.includes('cp')) return err(`the token's scope is ${scopes.join(', ') || 'empty'}, expected cp`)
  const row = (await store.get({ origin: globalOrigin, kind: 'Zone', mesh: '', name: zone }))?.row
  if (!row) return err(`there is no Zone "${zone}"; \`zonemesh token zone ${zone}\` creates it`)
  const parsed = parseAs(zoneKind, row)
  if (!parsed.ok) return err(`the Zone "${zone}" cannot be parsed: ${reasonOf(parsed.error)}; write it again`)
  if (!isEnabled(parsed.value.spec)) return err(`the Zone "${zone}" is disabled`)
  const outer = zoneLimits.safeParse(claims.value['Limits'] ?? {})
  if (!outer.success || !isWithin(parsed.value.spec.limits ?? {}, outer.data)) {
    const allowed = JSON.stringify(claims.value['Limits'])
    return err(`the token is for a zone with the limits ${allowed}, and the Zone "${zone}" allows more: set its limits`)
  }
  const held = { purpose: 'zone', mesh: '', token, who: zone, endsOnExpiry: true } as const
  return ok({ zone, watch: (end) => watch.hold(held, end) })
}

/** The first line about a revision. Those about zones that store and serve it follow. */
function logRevisions(log: Log, versions: readonly Version[]): void {
  for (const revision of new Set(versions.map((version) => version.revision))) {
    const keys = versions.filter((version) => version.revision === revision).map(({ key }) => keyText(key))
    log.debug({ revision, rows: keys.length, first: keys[0] }, 'committed a revision')
  }
}

/** Starts a global control plane. Throws one sentence if a store, a key or a port cannot be opened. */
export async function startGlobal(
  given: Env,
  config: GlobalConfig,
  shown: Parameters<typeof shownValues>[0],
): Promise<RunningGlobal> {
  const { clock, log } = given
  const metrics = createMetrics('global')
  const instanceId = processName()
  const closers = createClosers(log)
  let zoneQuotas: ReturnType<typeof createReconciler> | undefined
  try {
    const identity = { service: 'zonemesh-global', instance: instanceId, attributes: {} }
    const tracer = await openTracing(given, identity, closers)
    const env = { ...given, metrics, tracer }
    const instance = instanceName(clock)
    const { store: raw, redis } = await openStore(env, config, { owner: 'the global', instance })
    closers.add('Redis', () => redis?.[Symbol.asyncDispose]())
    closers.add('the store', () => raw.close())
    await requireKnownStore(env, raw, { dataDir: config.dataDir, role: 'global', accepts: config.acceptNewStore })
    const isShared = config.store !== undefined
    const leadership = await openLeadership(env, raw, { origin: globalOrigin, instance, isShared }, closers)
    const lead = () => leadership.lead.value
    const trail = await openTrail({ store: raw, clock, log })
    closers.add('the trail', () => trail[Symbol.asyncDispose]())
    const quotas = createZoneQuotas(
      raw,
      { rowsMax: config.zoneRowsMax, bytesMax: config.zoneBytesMax },
      { log, isShared, onRoom: () => void zoneQuotas?.wake() },
    )
    const limits = createZoneLimits(quotas.store)
    const store = observeCommits(limits.store, (versions) => {
      logRevisions(log, versions)
      const kinds = new Set(versions.map((version) => version.key.kind))
      for (const follower of followers) if (follower.kinds.some((kind) => kinds.has(kind))) void follower.wake()
    })
    /** Reconcilers, with the kinds whose changes wake them. */
    const followers: { readonly kinds: readonly string[]; wake(): unknown }[] = []
    // `observeCommits` does not see the commits of other processes, so every mark wakes all followers.
    if (isShared) {
      const marks = raw.onMark(() => {
        for (const follower of followers) void follower.wake()
      })
      closers.add('marks', () => marks[Symbol.dispose]())
    }
    const { sealer, tls, adminKey } = await openFolderKeys(env, raw, {
      ...config,
      origin: globalOrigin,
      recoveryFile: keysFileName,
      shared: isShared,
    })
    await ensureDefaults(store)
    await sealStoredInlineKeys({ store, sealer, origin: globalOrigin })
    const commit: Store['commit'] = (input) => store.commit(input)
    const base = { store, sealer, origin: globalOrigin, clock, log, commit }
    const tokens = createTokens(env, createKeySource({ ...base, owns: () => true }))
    /** What the leader alone may write: a former leader is refused. */
    const commitAsLeader: Store['commit'] = async (input) => {
      const own = lead()
      return own ? store.commit(asLeader(own, input)) : { ok: false, conflicts: [] }
    }
    const led = { ...base, commit: commitAsLeader }
    const keeper = createTokenKeeper(led)
    const publicTokens = createReconciler(log, 'public token keys and revocations', async () => {
      if (lead()) await keeper.reconcile()
    })
    followers.push({ kinds: secretKinds, wake: publicTokens.wake })
    await publicTokens.wake()
    const watch = createTokenWatch({ store, tokens, clock, log })
    closers.add('the watch over tokens', () => watch.close())
    followers.push({ kinds: publicTokenKinds, wake: watch.wake })
    const owner = createAuthorityOwner(led)
    const authorities = createReconciler(log, 'the authorities of meshes', async () => {
      if (lead()) await owner.reconcile()
    })
    followers.push({ kinds: ['Mesh', 'AuthorityRequest', 'AuthorityUse', 'Secret', 'Zone'], wake: authorities.wake })
    const certificates = createCertificateKeeper(base)
    const listeners = createReconciler(log, 'the certificates of listeners', () => certificates.reconcile())
    followers.push({ kinds: certificateSources, wake: listeners.wake })
    const keysFile =
      config.dataDir === undefined ? undefined : createKeysFile({ store, sealer, clock, log }, config.dataDir)
    const recovery = createReconciler(log, 'the recovery file', async () => keysFile?.reconcile())
    followers.push({ kinds: keptKinds, wake: recovery.wake })
    const renewal = repeat(clock, renewalEveryMs, () => {
      void authorities.wake()
      // Adds rows that another process has written to the recovery file of this process.
      void recovery.wake()
    })
    closers.add('renewal', () => renewal[Symbol.dispose]())
    // A new leader does what the former one may have left.
    const leading = onLead(leadership, () => {
      void publicTokens.wake()
      void authorities.wake()
    })
    closers.add('what the leader does', () => leading[Symbol.asyncDispose]())
    await authorities.wake()
    await listeners.wake()

    const webSocket = createWebSocketDoor()
    await limits.reconcile(() => {})
    await quotas.reconcile(() => {})
    const sync = await startSyncServer(
      {
        store,
        clock,
        log,
        rules: sightRules,
        authenticate: (token) => authenticateZone(tokens, watch, store, token),
        recall: recallOf,
        lead,
        onStatus: trail.record,
        observer: createSyncObserver(metrics, log),
        tracer,
        queries: { handlersFor: createZoneQueries({ store, tokens, log }) },
      },
      {
        listen: [
          listenGrpc({
            host: config.host,
            port: config.syncPort,
            tls: { cert: tls.certificate, key: tls.key },
            path: syncPath,
          }),
          webSocket.listen,
        ],
        version,
        hostname: hostname(),
        inflow: { bytesPerSecond: config.zoneBytesPerSecondMax, burstBytes: 16 * config.zoneBytesPerSecondMax },
        reportBytesMax: config.zoneReportBytesMax,
        // Several processes may serve zones from one database.
        ...(isShared ? { replica: instance } : {}),
      },
    )
    const replicaQueries = createReplicaQueries(
      { notes: raw.notes, clock, log, random: env.random, sealer },
      isShared ? instance : undefined,
      sync,
    )
    closers.add('the questions of replicas', () => replicaQueries[Symbol.asyncDispose]())
    const peersHere = sync.onChange(() => redis?.setPeers(sync.connectedHere()))
    closers.add('the view of connected zones', () => peersHere[Symbol.dispose]())
    const syncPort = sync.ports[0] ?? config.syncPort
    closers.add('sync', () => sync[Symbol.asyncDispose]())
    // Ends the sessions of disabled and deleted zones. Their next session is refused with the reason.
    const zoneSessions = createReconciler(log, 'the sessions of zones', async () => {
      const enabled = new Set(await enabledZones(store))
      for (const [zone, status] of sync.zones()) {
        if (status.connected && !enabled.has(zone)) sync.disconnect(zone, `the Zone "${zone}" is disabled or deleted`)
      }
    })
    followers.push({ kinds: ['Zone'], wake: zoneSessions.wake })
    const zoneLimitsKeeper = createReconciler(log, 'the limits of zones', () =>
      limits.reconcile((zone) => sync.disconnect(zone, `the limits of the Zone "${zone}" have changed`)),
    )
    followers.push({ kinds: ['Zone'], wake: zoneLimitsKeeper.wake })
    zoneQuotas = createReconciler(log, 'the quotas of zones', () =>
      quotas.reconcile((zone) => sync.disconnect(zone, `the Zone "${zone}" is below its quota again`)),
    )
    let ports: PlanePorts | undefined
    const expiry = createExpiry({ clock, log, sources: () => expiringOf(store, tls, watch) })
    closers.add('the report of expiring certificates', () => expiry.close())
    const catalogue = createCatalogue(store)
    const status = createStatus({
      store,
      sync,
      refused: (zone) => [...limits.refused(zone), ...quotas.refused(zone)],
      clock,
      expiry,
      owner,
      catalogue,
      redis,
    })
    const localhostIsAdmin = config.localhostIsAdmin ?? isLoopback(config.host)
    const placement = createPlacement(config.host, [])
    const isOwnHost = createOwnHosts([...config.tlsHosts, ...config.apiHosts])
    const plane: ApiPlane = {
      role: 'global',
      origin: globalOrigin,
      globalApi: '',
      store,
      catalogue,
      tokens,
      sealer,
      clock,
      log,
      tracer,
      localhostIsAdmin,
      anonymousRules: { anonymous: config.anonymous, isOwnHost },
      adminKey,
      placement,
      instanceId,
      async commit(input) {
        const outcome = await commit(input)
        if (outcome.ok) await sync.keepPace({ revision: outcome.position.revision, rows: outcome.written.length })
        return outcome
      },
      insight: (kind, row) => status.insight(kind, row),
      status: () => status.report(),
      isZoneOnline: (zone) => sync.zones().get(zone)?.connected ?? false,
      receipt: (wait) => waitForReceipt({ store, sync, derived: listeners.idle }, wait),
      async releaseHold(zone, hold) {
        const released = await requestRelease({ store, sync, release: replicaQueries.release }, zone, hold)
        if (released.ok) metrics.count('zonemesh_zone_releases_total', { zone })
        return released
      },
      keepFormer: (zone, subject) => sync.keep(zone, subject),
      trail: trail.timesOf,
      askZone: replicaQueries.askZone,
      config: {
        mode: 'global',
        environment: 'universal',
        ...shownValues(shown, { ...config, localhostIsAdmin }),
      } as JsonObject,
      join: {
        pin: tls.pin,
        host: config.host,
        syncPort,
        // The API reads this, so its port is open by then.
        get webSocketPort() {
          return ports?.apiTlsPort
        },
      },
      decorate: (kind, row) => shownSpec({ store, sealer, origin: globalOrigin }, kind, row),
    }
    const figures = createGlobalFigures(metrics, { store, sync, quotas, limits, expiry })
    const knownZones = createReconciler(log, 'the metrics of zones', () => figures.reconcile())
    followers.push({ kinds: ['Zone'], wake: knownZones.wake })
    await knownZones.wake()
    const servers = await startServers(plane, config, tls, metrics, closers, webSocket)
    ports = servers.ports
    // Closes before the API, which waits for its connections, so that zones over WebSocket receive the reason.
    closers.add('the sessions of zones', () => sync[Symbol.asyncDispose]())
    // Last: a global that cannot start writes no recovery file and logs only the reason.
    await recovery.wake()
    log.info({ ...ports, sync: syncPort, store: store.id }, 'the global control plane is ready')
    catalogue.warm()
    return { ...ports, routes: servers.routes, syncPort, pin: tls.pin, adminKey, close: () => closers.close() }
  } catch (thrown) {
    await closers.close()
    throw thrown
  }
}
