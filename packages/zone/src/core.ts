import { hostname } from 'node:os'
import { createCompiler, type FaultPoint } from '@zonemesh/core/compile/compiler.ts'
import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import { proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import { createNames } from '@zonemesh/core/names/table.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { type AuthorityOwner, createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { certificateSources, createCertificateKeeper } from '@zonemesh/plane/certificates/keeper.ts'
import { type Closers, createReconciler, type Env, renewalEveryMs } from '@zonemesh/plane/lifecycle.ts'
import { createTokenKeeper, secretKinds } from '@zonemesh/plane/tokens/keeper.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { repeat } from '@zonemesh/shared/env/clock.ts'
import { noTracer } from '@zonemesh/shared/env/trace.ts'
import type { Leadership } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import type { Role, ZoneBase } from './base.ts'
import { createCompileTrace } from './engine/compile-trace.ts'
import { createEngine, type EngineObserver } from './engine/engine.ts'
import { createProgress, type Progress, type ProgressObserver } from './engine/progress.ts'
import { createLeases } from './leases/leases.ts'
import { markLost, removeLost } from './leases/lost.ts'
import { createSparing } from './leases/sparing.ts'
import { createNameFeeds } from './names/feeds.ts'
import { createDnsClients } from './names/resolver.ts'
import { createQuarantine, type Quarantine } from './quarantine/quarantine.ts'
import { createRefusals, type Refusals } from './refusals/refusals.ts'
import type { ReplicaState } from './replicas/replica.ts'
import { joinReplicas, noReplicas, type ZoneReplicas } from './replicas/replicas.ts'
import { type Certificates, createCertificates } from './secrets/certificates.ts'
import { createSecrets, type Secrets, type SecretsObserver } from './secrets/secrets.ts'
import { createAuthorityUse } from './secrets/use.ts'
import { createOwnState, followReplicas } from './status/own.ts'
import { createProxyStatus } from './status/proxies.ts'
import { createReporter } from './status/reporter.ts'

/** The kinds from which the zone reads its authorities and the keys and revocations of tokens. */
const authorityKinds = [
  ...['Mesh', 'MeshRoot', 'AuthorityRequest', 'AuthorityCertificate', 'AuthorityUse'],
  ...secretKinds,
]
/** The kinds from which certificates of listeners are made. A standalone zone starts from the secrets themselves. */
const certificateKinds = { zone: ['GatewayCertificate'], standalone: ['GatewayCertificate', ...certificateSources] }

/** The part of `ZoneBase` that the core needs; the simulator provides its own. */
export interface CoreBase extends Env {
  readonly zone: string
  readonly role: Role
  readonly store: Store
  /** The lead among the processes that share the store. */
  readonly leadership: Leadership
  /** The name of this process, if other processes share the store. No process ever reuses a name. */
  readonly replica?: string | undefined
  /** Shows which proxies are connected to which replica, sooner than the store does. */
  readonly redis?: Pick<RedisLink, 'setPeers' | 'peersOf'> | undefined
  /** For metrics; the simulator has none. */
  readonly observer?: EngineObserver & ProgressObserver & SecretsObserver
}

/** The source of certificates, which also renews them. */
export interface CoreKeys {
  readonly secrets: Secrets
  readonly certificates: Pick<Certificates, 'verdicts'>
  /** A table was sent to a proxy. */
  sent(proxy: string, serial: number, needs: readonly SecretNeed[]): void
  /** A proxy has answered every table up to this serial. Returns true if it now shows or trusts other certificates. */
  served(proxy: string, serial: number): boolean
  /** The stream of a proxy has closed. */
  gone(proxy: string): void
  /** The rotations of a standalone zone that wait. */
  readonly rotations: AuthorityOwner['waits']
  /** The roots that the proxies of this process trust and show, by mesh. */
  uses(): ReplicaState['uses']
  /** Rows of these kinds have changed. Without an argument, everything is checked. */
  wake(kinds?: ReadonlySet<string>): void
  close(): void
}

/** Callbacks from keys to the core. */
export interface KeyHooks {
  /** A requested secret is ready or has changed. */
  refresh(): void
  /** The certificate of this contribution cannot be served, so the compiler must leave the contribution out. */
  exclude(source: string, hash: string): void
  /** The certificate of an excluded contribution can be served again. */
  readmit(source: string, hash: string): void
  /** The verdicts on certificates of listeners may have changed. */
  judged(): void
  /** The roots in use at the other replicas of the zone. */
  otherUses(mesh: string): ReturnType<ZoneReplicas['otherUses']>
}

/** Keys of this zone, made by Web Crypto. */
export function createKeys(base: ZoneBase & Pick<CoreBase, 'observer'>, hooks: KeyHooks): CoreKeys {
  const { clock, log, role } = base
  const leads = () => base.leadership.lead.value !== undefined
  const holder = createAuthorityHolder(base)
  const owner = base.role === 'standalone' ? createAuthorityOwner(base) : undefined
  const keeper = base.role === 'standalone' ? createTokenKeeper(base) : undefined
  const certificateKeeper = role === 'standalone' ? createCertificateKeeper(base) : undefined
  const certificates = createCertificates(base, { ...hooks, changed: hooks.refresh })
  const secrets = createSecrets({ holder, certificates, clock, log, observer: base.observer }, hooks.refresh)
  const use = createAuthorityUse({ ...base, holder, secrets, leads, otherUses: hooks.otherUses })
  const authorities = createReconciler(log, 'the authorities of meshes', async () => {
    if (leads()) await keeper?.reconcile()
    if (leads()) await owner?.reconcile()
    const changed = await holder.reconcile()
    for (const [mesh, what] of changed) if (what === 'issuer') secrets.forget(mesh)
    if (changed.size > 0) hooks.refresh()
    await uses.wake()
  })
  const uses = createReconciler(log, 'the report of roots in use', () => use.reconcile(() => void uses.wake()))
  const listeners = createReconciler(log, 'the certificates of listeners', async () => {
    if (leads()) await certificateKeeper?.reconcile()
    await certificates.reconcile()
    hooks.judged()
  })
  const renewal = repeat(clock, renewalEveryMs, () => authorities.wake())
  const touches = (kinds: ReadonlySet<string> | undefined, own: readonly string[]): boolean =>
    kinds === undefined || own.some((kind) => kinds.has(kind))
  return {
    secrets,
    certificates,
    sent: (proxy, serial, needs) => use.sent(proxy, serial, needs),
    served(proxy, serial) {
      const isNew = use.served(proxy, serial)
      if (isNew) void uses.wake()
      return isNew
    },
    rotations: () => owner?.waits() ?? [],
    uses: use.own,
    gone(proxy) {
      use.gone(proxy)
      void uses.wake()
    },
    wake(kinds) {
      if (touches(kinds, certificateKinds[role])) void listeners.wake()
      if (touches(kinds, authorityKinds)) void authorities.wake()
    },
    close() {
      renewal[Symbol.dispose]()
      use.close()
      secrets.close()
    },
  }
}

/**
 * Everything between the store and the ports: rows in, tables, names and verdicts out. Resolves when the store is
 * compiled.
 */
export async function startCore(
  base: CoreBase,
  closers: Closers,
  makeKeys: (hooks: KeyHooks) => CoreKeys,
  faultPoint?: FaultPoint,
) {
  const { clock, log, zone, store } = base
  const { leadership, replica } = base
  let uplink: () => JsonObject | undefined = () => undefined
  const status = createProxyStatus({ clock, instanceId: hostname() })
  const counted = createProgress(clock, base.observer)
  const trace = createCompileTrace(base.tracer ?? noTracer, store)
  const identityListeners = createListeners()
  const names = createNames()
  const dnsClients = createDnsClients()
  const compiler = createCompiler({ zone, ...(faultPoint ? { faultPoint } : {}) })
  // Each process numbers its names anew, so a position of another process is none of this one.
  const storeId = `${store.id} ${replica ?? clock.wallMs()}`
  const nameFeeds = createNameFeeds({ names, storeId, isComplete: () => engine.isComplete() })
  const keys: CoreKeys = makeKeys({
    refresh: () => engine.refresh(),
    exclude: (source, hash) => engine.refresh(compiler.exclude(source, hash)),
    readmit: (source, hash) => engine.refresh(compiler.readmit(source, hash)),
    judged: () => reporter.update(),
    otherUses: (mesh): ReturnType<ZoneReplicas['otherUses']> => replicas.otherUses(mesh),
  })
  const { secrets, certificates } = keys
  const progress: Progress = {
    ...counted,
    sent(proxy, serial, mark) {
      counted.sent(proxy, serial, mark)
      trace.sent(proxy, serial)
      keys.sent(proxy, serial, engine.needsOf(proxy))
    },
    served(proxy, serial) {
      counted.served(proxy, serial)
      trace.served(proxy, serial)
      if (keys.served(proxy, serial)) identityListeners.call()
    },
    gone(proxy) {
      counted.gone(proxy)
      trace.gone(proxy)
      keys.gone(proxy)
    },
  }
  closers.add('secrets and authorities', () => keys.close())
  const refusals: Refusals = createRefusals({
    store,
    zone,
    compiler,
    engine: () => engine,
    log,
    changed: () => reporter.update(),
    isShared: replica !== undefined,
  })
  const quarantine: Quarantine = createQuarantine({
    ...base,
    software: version,
    compiler,
    changed: () => reporter.update(),
  })
  const reporter = createReporter({
    ...{ clock, progress, status, refusals, quarantine, certificates },
    replicas: () => replicas,
    // The reporter reads this only after the engine below exists.
    leftOut: () => engine.leftOut(),
  })
  const engine = createEngine({
    clock,
    store,
    startsComplete: base.role === 'standalone',
    completes: (key) => key.kind === positionKind && key.origin === zone,
    compiler,
    names,
    quarantine,
    secrets,
    progress,
    log,
    trace,
    observer: base.observer,
    namesChanged: (meshes) => nameFeeds.changed(meshes),
    marked(versions) {
      refusals.marked(versions)
      forgetRemoved(versions)
      quarantine.marked(versions)
      dnsClients.applied(versions)
      keys.wake(new Set(versions.map(({ key }) => key.kind)))
      reporter.update()
    },
  })
  closers.add('the engine', () => engine.close())
  const leases = createLeases({
    clock,
    log,
    lead: () => leadership.lead.value,
    async remove(proxy, why, guards) {
      const elsewhere = guards.length > 0 ? await spare(proxy) : undefined
      if (elsewhere !== undefined) throw new Error(`it is connected to the replica ${elsewhere}`)
      log.info({ proxy }, `removing a proxy: ${why}`)
      const outcome = await store.commit({
        changes: [...guards, { op: 'delete', key: parseKeyText(proxy) }],
        subject: 'mesh-system:control-plane',
        intent: why,
      })
      if (!outcome.ok) throw new Error('another replica of this zone leads now')
      status.forgotten(proxy)
    },
    markLost: (proxies) => markLost(store, proxies),
  })
  closers.add('leases', () => leases.close())
  const spare = createSparing(async (proxy) => {
    const others = replicas.others().map(({ instance }) => instance)
    return (await base.redis?.peersOf(others))?.get(proxy)
  })
  /** Proxies whose rows were removed, by any process, are no longer awaited. */
  function forgetRemoved(versions: readonly Version[]): void {
    for (const { key, state } of versions) {
      if (state === 'live' || key.origin !== zone || !proxyKinds.has(key.kind)) continue
      const proxy = keyText(key)
      if (status.isConnected(proxy)) continue
      leases.forget(proxy)
      status.forgotten(proxy)
    }
  }
  const shown = { uses: keys.uses, uplink: () => uplink() }
  const own = createOwnState({ status, engine, secrets, leases, progress, reporter, ...shown })
  const replicas = replica === undefined ? noReplicas : joinReplicas({ store, clock, log }, replica, own)
  closers.add('the exchange with other replicas', () => replicas[Symbol.asyncDispose]())
  const following = followReplicas({
    ...{ replicas, status, leases, leadership, reporter, redis: base.redis },
    wake: () => keys.wake(),
  })
  closers.add('the streams of other replicas', () => following[Symbol.asyncDispose]())
  /** Removes the lost proxies. Returns their number. */
  async function removeLostProxies(): Promise<number> {
    const removed = await removeLost(store, zone)
    for (const proxy of removed) {
      leases.forget(proxy)
      status.forgotten(proxy)
    }
    log.warn({ proxies: removed.length }, 'an operator removed the lost proxies')
    return removed.length
  }
  await quarantine.load()
  await engine.start()
  await refusals.load()
  // Not awaited: names need no certificates, and a proxy receives its table when its certificates are ready.
  keys.wake()
  return {
    status,
    progress,
    trace,
    dnsClients,
    compiler,
    nameFeeds,
    secrets,
    certificates,
    /** Calls back when a proxy shows another certificate. */
    onIdentity: identityListeners.add,
    refusals,
    quarantine,
    reporter,
    engine,
    leases,
    removeLost: removeLostProxies,
    replicas,
    own,
    /** The other replicas show what this returns as the session of the zone with its global. */
    showUplink(read: () => JsonObject | undefined): void {
      uplink = read
    },
    rotations: keys.rotations,
  }
}
export type ZoneCore = Awaited<ReturnType<typeof startCore>>
