import { hostname } from 'node:os'
import { createCompiler, type FaultPoint } from '@zonemesh/core/compile/compiler.ts'
import { createNames } from '@zonemesh/core/names/table.ts'
import { version } from '@zonemesh/plane/api/system.ts'
import { createAuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { createAuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import { type Closers, createReconciler, type Env, renewalEveryMs } from '@zonemesh/plane/lifecycle.ts'
import { createTokenKeeper, secretKinds } from '@zonemesh/plane/tokens/keeper.ts'
import { repeat } from '@zonemesh/shared/env/clock.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import type { Role, ZoneBase } from './base.ts'
import { createEngine } from './engine/engine.ts'
import { createProgress } from './engine/progress.ts'
import { createLeases } from './leases/leases.ts'
import { createNameFeeds } from './names/feeds.ts'
import { createAskers } from './names/resolver.ts'
import { createQuarantine, type Quarantine } from './quarantine/quarantine.ts'
import { createRefusals, type Refusals } from './refusals/refusals.ts'
import { createSecrets, type Secrets } from './secrets/secrets.ts'
import { createProxyStatus } from './status/proxies.ts'
import { createReporter } from './status/reporter.ts'

/** Rows that the zone's authorities, and what tokens are judged by, are made of. */
const keyKinds = new Set<string>(['Mesh', 'MeshRoot', 'AuthorityRequest', 'AuthorityCertificate', ...secretKinds])

/** What the core stands on. */
export interface CoreBase extends Env {
  readonly zone: string
  readonly role: Role
  readonly store: Store
}

/** Where certificates come from, and what keeps them new. */
export interface CoreKeys {
  readonly secrets: Secrets
  /** Rows that authorities or keys of tokens are made of have changed. */
  wake(): void
  close(): void
}

/** Keys of this zone, made by Web Crypto. `refresh`: a secret that was asked for is there, or is new. */
export function createKeys(base: ZoneBase, refresh: () => void): CoreKeys {
  const { clock, log } = base
  const holder = createAuthorityHolder(base)
  const owner = base.role === 'standalone' ? createAuthorityOwner(base) : undefined
  const keeper = base.role === 'standalone' ? createTokenKeeper(base) : undefined
  const secrets = createSecrets({ holder, clock, log }, refresh)
  const authorities = createReconciler(log, 'the authorities of meshes', async () => {
    await keeper?.reconcile()
    await owner?.reconcile()
    const changed = await holder.reconcile()
    for (const mesh of changed) secrets.forget(mesh)
    if (changed.size > 0) refresh()
  })
  const renewal = repeat(clock, renewalEveryMs, () => authorities.wake())
  return {
    secrets,
    wake: () => void authorities.wake(),
    close() {
      renewal[Symbol.dispose]()
      secrets.close()
    },
  }
}

/** Everything between the store and the ports: rows in, tables, names and verdicts out. Has compiled the store when it resolves. */
export async function startCore(
  base: CoreBase,
  closers: Closers,
  makeKeys: (refresh: () => void) => CoreKeys,
  faultPoint?: FaultPoint,
) {
  const { clock, log, zone, store } = base
  const status = createProxyStatus({ clock, instanceId: hostname() })
  const progress = createProgress(clock)
  const names = createNames()
  const askers = createAskers()
  const compiler = createCompiler({ zone, ...(faultPoint ? { faultPoint } : {}) })
  const nameFeeds = createNameFeeds({ names, storeId: store.id, isComplete: () => engine.isComplete() })
  const keys = makeKeys(() => engine.refresh())
  const { secrets } = keys
  closers.add('secrets and authorities', () => keys.close())
  const refusals: Refusals = createRefusals({
    store,
    zone,
    compiler,
    engine: () => engine,
    log,
    changed: () => reporter.update(),
  })
  const quarantine: Quarantine = createQuarantine({
    ...base,
    software: version,
    compiler,
    changed: () => reporter.update(),
  })
  const reporter = createReporter({ clock, progress, status, refusals, quarantine })
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
    namesChanged: (meshes) => nameFeeds.changed(meshes),
    marked(versions) {
      for (const { key } of versions) status.reconsider(keyText(key))
      refusals.marked(versions)
      quarantine.marked(versions)
      askers.applied(versions)
      if (versions.some(({ key }) => keyKinds.has(key.kind))) keys.wake()
      reporter.update()
    },
  })
  closers.add('the engine', () => engine.close())
  const leases = createLeases({
    clock,
    log,
    async remove(proxy, why) {
      log.info({ proxy }, `a proxy is removed: ${why}`)
      await store.commit({
        changes: [{ op: 'delete', key: parseKeyText(proxy) }],
        subject: 'mesh-system:control-plane',
        intent: why,
      })
      status.forgotten(proxy)
    },
  })
  closers.add('leases', () => leases.close())
  await quarantine.load()
  await engine.start()
  await refusals.load()
  // Not waited for: names need no certificates, and proxies get their tables when they are there.
  keys.wake()
  return { status, progress, askers, compiler, nameFeeds, secrets, refusals, quarantine, reporter, engine, leases }
}
export type ZoneCore = Awaited<ReturnType<typeof startCore>>
