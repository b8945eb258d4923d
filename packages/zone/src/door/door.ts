import type { ProxyFacts } from '@zonemesh/core/emit/table.ts'
import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { specOf as parsedSpec } from '@zonemesh/core/kinds/row.ts'
import type { Placement } from '@zonemesh/plane/api/placement.ts'
import type { Sealer } from '@zonemesh/plane/authority/seal.ts'
import type { Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import type { TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Engine } from '../engine/engine.ts'
import type { Leases } from '../leases/leases.ts'
import type { NameFeeds } from '../names/feeds.ts'
import type { Refusals } from '../refusals/refusals.ts'
import type { ProxyStatus } from '../status/proxies.ts'
import { type Credentials, kindOfType, type ProxyIdentity, proxyKey, type XdsDeps } from '../xds/contract.ts'
import { authenticateProxy, bareToken, coversRow } from './authenticate.ts'
import { createBootstrapCheck } from './bootstrap-check.ts'
import { createRegistrations } from './registration.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly role: 'zone' | 'standalone'
  readonly sealer: Sealer
  readonly placement: Placement
  readonly tokens: Tokens
  readonly watch: Pick<TokenWatch, 'hold'>
  readonly engine: Engine
  readonly leases: Leases
  readonly nameFeeds: NameFeeds
  readonly status: ProxyStatus
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly refusals: Refusals
  /** The name of this process, if other processes of the zone share its store. */
  readonly replica?: string | undefined
  /** A proxy has answered every table up to this serial. */
  served(proxy: string, mark: number): void
}

/** A replica that does not catch up within this time refuses a proxy, which then tries another one. */
const reachWithinMs = 5_000

/**
 * The zone's side of its proxies: admits and registers them, serves their tables and names, and receives their
 * verdicts.
 */
export function createDoor(deps: Deps): XdsDeps {
  const { store, zone, engine, leases, status, log } = deps
  /** Draining proxies whose rows are removed. An Envoy that reconnects must not register them again. */
  const leaving = new Set<string>()
  const facts = new Map<string, ProxyFacts>()
  const specs = new Map<string, DataplaneSpec>()
  const registrations = createRegistrations({
    ...deps,
    isConnected: (proxy) => status.isConnected(proxy),
    isLeaving: (proxy) => leaving.has(proxy),
  })
  const { stored, read, register, arrive } = registrations

  async function specOf(proxy: ProxyIdentity, resource: JsonObject | undefined): Promise<DataplaneSpec | undefined> {
    if (proxy.type !== 'dataplane') return undefined
    const brought = resource && read(proxy, resource)
    if (brought?.ok) return brought.value.dataplane
    const row = await stored(proxy)
    return row && parsedSpec(dataplane, row)
  }

  /** Checks that a token covers the resource that a proxy sends, and the stored row with its name. */
  async function authenticate(
    token: string | undefined,
    proxy: ProxyIdentity,
    brought: DataplaneSpec | undefined,
  ): Promise<Result<Credentials, string>> {
    const credentials = await authenticateProxy(deps, token, proxy)
    if (!credentials.ok) return credentials
    const covered = brought && proxy.type === 'dataplane' ? credentials.value.covers(brought) : ok(undefined)
    if (!covered.ok) return covered
    const replaced = coversRow(proxy, credentials.value, await stored(proxy))
    return replaced.ok ? credentials : replaced
  }

  /**
   * The proxy may come from another replica, which may have served a newer mark. Everything that was served is in the
   * store, so its newest mark is at least as new.
   */
  async function upToDate(): Promise<Result<void, string>> {
    if (deps.replica === undefined) return ok(undefined)
    const { revision } = await store.mark()
    if (await engine.reaches(revision, reachWithinMs)) return ok(undefined)
    return err(
      `this replica has compiled revision ${engine.mark.value}, and the zone is at ${revision}: try another one`,
    )
  }

  return {
    clock: deps.clock,
    log,
    random: deps.random,
    bootstrap: {
      log,
      tokenRequired: () => true,
      check: createBootstrapCheck({
        ...{ store, zone, registrations, authenticate },
        isComplete: () => engine.isComplete(),
      }),
    },
    async authenticate(token, proxy, resource) {
      const credentials = await authenticate(token, proxy, await specOf(proxy, resource))
      const ready = credentials.ok ? await upToDate() : ok(undefined)
      return ready.ok ? credentials : ready
    },
    holdToken(token, proxy, end) {
      const who = keyText(proxyKey(zone, proxy))
      const purpose = proxy.type === 'dataplane' ? 'dataplane' : 'zone'
      // As in Kuma, the expiry of a token does not end the stream of an admitted proxy. Its revocation does.
      const held = { purpose, mesh: proxy.mesh, token: bareToken(token), who, endsOnExpiry: false } as const
      return deps.watch.hold(held, end)
    },
    async opened(stream) {
      const { proxy, resource, credentials } = stream
      const key = keyText(proxyKey(zone, proxy))
      if (leaving.has(key)) return err('the proxy is draining')
      if (resource) {
        const registered = await register(proxy, credentials, resource)
        if (!registered.ok) return registered
      } else if (!(await stored(proxy)))
        return err(`there is no ${kindOfType[proxy.type]} "${proxy.name}", and the proxy brings none`)
      leases.opened(key, stream.id)
      status.opened(key, stream)
      facts.set(key, stream.facts)
      const spec = await specOf(proxy, resource)
      if (spec) {
        specs.set(key, spec)
        deps.nameFeeds.refresh(proxy.mesh)
      }
      log.info({ proxy: key }, 'a proxy is connected')
      return ok(undefined)
    },
    closed(stream) {
      const key = keyText(proxyKey(zone, stream.proxy))
      leaving.delete(key)
      registrations.gone(key)
      leases.closed(key, stream.id, stream.resource !== undefined)
      status.closed(key, stream.id)
      deps.refusals.gone(key)
      log.info({ proxy: key }, 'the stream of a proxy ended')
    },
    openTables(proxy) {
      const key = keyText(proxyKey(zone, proxy))
      return engine.open(key, facts.get(key) ?? { canBindPort80: false })
    },
    refused(proxy, refusal) {
      const key = keyText(proxyKey(zone, proxy))
      log.warn(
        { proxy: key, resource: refusal.name, sources: refusal.contributions },
        `a proxy refused configuration: ${refusal.detail}`,
      )
      if (refusal.reason === 'content' && refusal.contributions.length > 0) deps.refusals.refused(key, refusal)
      else status.refused(key, refusal)
    },
    absolved: (proxy, resource) => status.absolved(keyText(proxyKey(zone, proxy)), resource),
    served(proxy, mark) {
      const key = keyText(proxyKey(zone, proxy))
      arrive(proxy, key)
      status.served(key)
      deps.served(key, mark)
    },
    openNames(proxy, proxyFacts) {
      const key = keyText(proxyKey(zone, proxy))
      return deps.nameFeeds.open(proxy.mesh, proxyFacts, () => specs.get(key))
    },
    async draining(proxy, credentials) {
      const key = keyText(proxyKey(zone, proxy))
      const covered = coversRow(proxy, credentials, await stored(proxy))
      if (!covered.ok) {
        log.warn({ proxy: key }, `a session may not remove the row of this proxy: ${covered.error}`)
        return covered
      }
      if (status.isConnected(key)) leaving.add(key)
      await leases.draining(key)
      return ok(undefined)
    },
    async envoyExited(proxy, credentials, exit) {
      const key = keyText(proxyKey(zone, proxy))
      if (!coversRow(proxy, credentials, await stored(proxy)).ok) return
      log.warn({ proxy: key, ...exit }, 'the Envoy of a proxy ended and is started again')
      status.envoyExited(key)
    },
  }
}
