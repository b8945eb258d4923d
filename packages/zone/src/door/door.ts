import { admit, refusalLines } from '@zonemesh/core/admit/admit.ts'
import type { ProxyFacts } from '@zonemesh/core/emit/table.ts'
import { meshLabel, originLabel, proxyTypeLabel, zoneLabel } from '@zonemesh/core/kinds/common.ts'
import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole, dataplaneServices } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { proxyTypeOf } from '@zonemesh/core/kinds/proxies.ts'
import { parseAs, specOf as parsedSpec, reasonOf } from '@zonemesh/core/kinds/row.ts'
import { parseRow } from '@zonemesh/core/parse.ts'
import { type Placement, placementFaults } from '@zonemesh/plane/api/placement.ts'
import { completeSpec } from '@zonemesh/plane/api/resources.ts'
import type { Sealer } from '@zonemesh/plane/authority/seal.ts'
import { isUnknownKey, type Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import type { TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { err, type JsonObject, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { globalOrigin, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Expect, Store } from '@zonemesh/shared/store/store.ts'
import type { Engine } from '../engine/engine.ts'
import type { Leases } from '../leases/leases.ts'
import type { NameFeeds } from '../names/feeds.ts'
import type { Refusals } from '../refusals/refusals.ts'
import type { ProxyStatus } from '../status/proxies.ts'
import type { BootstrapDeps } from '../xds/bootstrap-http.ts'
import type { BootstrapRefusal, BootstrapSubject } from '../xds/bootstrap-request.ts'
import {
  type Credentials,
  kindOfType,
  type ProxyIdentity,
  type ProxyType,
  proxyKey,
  type XdsDeps,
} from '../xds/contract.ts'
import { isProxyType } from '../xds/node.ts'
import { createArrivals, type Registration } from './arrival.ts'
import { authenticateProxy, bareToken } from './authenticate.ts'

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
  /** A proxy has answered every table up to this serial. */
  served(proxy: string, mark: number): void
}

/** The label of rows that proxies have registered by their streams. Such a row is removed when its lease expires. */
export const leaseLabel = 'zonemesh.io/lease'

/** The time after which a failed write of an arrival is tried again. */
const arrivalAgainMs = 1_000
/** The number of attempts to register a proxy whose row changes at the same time. */
const registerTries = 3

/**
 * The zone's side of its proxies: admits and registers them, serves their tables and names, and receives their
 * verdicts.
 */
export function createDoor(deps: Deps): XdsDeps {
  const { store, zone, engine, leases, status, log } = deps
  const leased = new Set<string>()
  /** Draining proxies whose rows are removed. An Envoy that reconnects must not register them again. */
  const leaving = new Set<string>()
  const facts = new Map<string, ProxyFacts>()
  const specs = new Map<string, DataplaneSpec>()
  const arrivals = createArrivals()

  async function meshExists(mesh: string): Promise<boolean> {
    for (const origin of [globalOrigin, zone]) {
      if ((await store.get({ origin, kind: 'Mesh', mesh: '', name: mesh }))?.row) return true
    }
    return false
  }

  const stored = async (proxy: ProxyIdentity): Promise<Row | undefined> => (await store.get(proxyKey(zone, proxy)))?.row

  /** The admitted and completed resource that a proxy sends, or the reason why it is refused. */
  function read(
    proxy: Pick<ProxyIdentity, 'type'>,
    resource: JsonObject,
  ): Result<{ mesh: string; name: string; spec: JsonObject; labels: Record<string, string> }, string> {
    const admitted = admit(resource)
    if (!admitted.ok) return err(refusalLines(admitted.error).join('; '))
    const { kind, mesh, name, spec, labels } = admitted.value
    if (kind.name !== kindOfType[proxy.type]) return err(`expected a ${kindOfType[proxy.type]}, found a ${kind.name}`)
    const [fault] = placementFaults(kind, spec, deps.placement)
    if (fault) return err(`${fault.field}: ${fault.reason}`)
    const computed = {
      ...(mesh ? { [meshLabel]: mesh } : {}),
      [originLabel]: 'zone',
      [zoneLabel]: zone,
      'kuma.io/env': 'universal',
      // The kind was checked above, so the proxy type is defined.
      [proxyTypeLabel]: proxyTypeOf(kind.name, spec) ?? '',
    }
    return ok({
      mesh,
      name,
      spec: completeSpec({ role: deps.role, origin: zone, sealer: deps.sealer }, kind, spec),
      labels: { ...labels, ...computed },
    })
  }

  /**
   * Whether these credentials cover a stored row. Without this check, the holder of a token for one service could
   * replace or remove the proxies of other services.
   */
  function coversRow(proxy: ProxyIdentity, credentials: Credentials, row: Row | undefined): Result<void, string> {
    if (!row || proxy.type !== 'dataplane') return ok(undefined)
    const parsed = parseAs(dataplane, row)
    // A row that cannot be parsed has no tags to check. Only a new document of its owner repairs it.
    if (!parsed.ok) return ok(undefined)
    const covered = credentials.covers(parsed.value.spec)
    return covered.ok
      ? covered
      : err(`${covered.error}; it must also cover the Dataplane "${proxy.name}" as it is stored`)
  }

  /** Writes the row of a proxy from the resource that it sends. An equal row is not written again. */
  async function register(
    proxy: ProxyIdentity,
    credentials: Credentials,
    resource: JsonObject,
  ): Promise<Result<void, string>> {
    const result = read(proxy, resource)
    if (!result.ok) return result
    const { mesh, name, spec, labels } = result.value
    if (mesh !== proxy.mesh || name !== proxy.name)
      return err(`the resource is ${mesh}.${name}, the proxy calls itself ${proxy.mesh}.${proxy.name}`)
    const given = { labels: { ...labels, [leaseLabel]: 'stream' }, spec }
    const key = proxyKey(zone, proxy)
    for (let tries = 0; tries < registerTries; tries += 1) {
      const version = await store.get(key)
      const covered = coversRow(proxy, credentials, version?.row)
      if (!covered.ok) return covered
      // Replaces only the version of the row that was checked against the credentials.
      const expect: Expect = version?.row ? { revision: version.revision } : { absent: true }
      const registration = arrivals.begin(keyText(key), key.kind, given, version?.row)
      const outcome = await put(proxy, registration, 'registered by its stream', expect)
      if (outcome.ok) return ok(undefined)
    }
    return err('the resource was changed at the same time')
  }

  const put = (proxy: ProxyIdentity, { labels, spec }: Registration, intent: string, expect?: Expect) =>
    store.commit({
      changes: [{ op: 'put', key: proxyKey(zone, proxy), labels, spec, ...(expect ? { expect } : {}) }],
      subject: `proxy ${proxy.mesh}.${proxy.name}`,
      intent,
    })

  /** The Envoy of a proxy listens, so other proxies may send traffic to it. */
  function arrive(proxy: ProxyIdentity, key: string): void {
    const registration = arrivals.arrived(key)
    if (!registration || leaving.has(key)) return
    put(proxy, registration, 'its Envoy has answered').catch((cause: unknown) => {
      log.warn({ proxy: key, reason: messageOf(cause) }, 'cannot write that a proxy is ready; it is tried again')
      if (!status.isConnected(key)) return
      arrivals.again(key, registration)
      deps.clock.after(arrivalAgainMs, () => arrive(proxy, key))
    })
  }

  async function specOf(proxy: ProxyIdentity, resource: JsonObject | undefined): Promise<DataplaneSpec | undefined> {
    if (proxy.type !== 'dataplane') return undefined
    const brought = resource && read(proxy, resource)
    // It was admitted by the schema of a Dataplane.
    if (brought?.ok) return brought.value.spec as DataplaneSpec
    const row = await stored(proxy)
    return row && parsedSpec(dataplane, row)
  }

  const bootstrap: BootstrapDeps = {
    log,
    tokenRequired: () => true,
    async check(request) {
      const refuse = (status: 400 | 404 | 422 | 503, text: string) => err({ status, text })
      const type = request.proxyType
      if (!isProxyType(type)) return refuse(422, `proxy type "${type}" is not served`)
      if (type === 'dataplane' && !(await meshExists(request.mesh)))
        return refuse(422, `mesh "${request.mesh}" does not exist`)
      // Before any look-up: without a valid token, a caller must not learn whether a proxy exists.
      if (request.dataplaneToken.trim() === '')
        return refuse(422, 'A token is required: pass one with --dataplane-token-file or --dataplane-token')
      if (request.dataplaneResource === '') {
        const identity: ProxyIdentity = { type, mesh: request.mesh, name: request.name }
        const refused = await refusedToken(request.dataplaneToken, identity, undefined)
        if (refused) return refused
        const row = await stored(identity)
        if (!row) return refuse(404, '')
        const parsed = parseRow(row)
        if (!parsed.ok) return refuse(422, `the stored ${row.key.kind} cannot be parsed: ${reasonOf(parsed.error)}`)
        // The row was parsed by the schema of its kind, which the type of the proxy determines.
        return ok(subjectOf(type, parsed.value.spec as DataplaneSpec))
      }
      let resource: JsonObject
      try {
        resource = JSON.parse(request.dataplaneResource)
      } catch (thrown) {
        return refuse(422, `the resource is not JSON: ${messageOf(thrown)}`)
      }
      const result = read({ type }, resource)
      if (!result.ok) return refuse(422, result.error)
      const { mesh, name } = result.value
      // It was admitted by the schema of the kind that the type of the proxy determines.
      const spec = result.value.spec as DataplaneSpec
      const refused = await refusedToken(request.dataplaneToken, { type, mesh, name }, spec)
      return refused ?? ok(subjectOf(type, spec))
    },
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

  /** The reason to refuse a token before Envoy starts; undefined if the token is valid. */
  async function refusedToken(
    token: string,
    proxy: ProxyIdentity,
    brought: DataplaneSpec | undefined,
  ): Promise<Result<never, BootstrapRefusal> | undefined> {
    const allowed = await authenticate(token, proxy, brought)
    if (allowed.ok) return undefined
    return err({ status: isUnknownKey(allowed.error) ? 503 : 422, text: allowed.error })
  }

  return {
    clock: deps.clock,
    log,
    random: deps.random,
    bootstrap,
    async authenticate(token, proxy, resource) {
      return authenticate(token, proxy, await specOf(proxy, resource))
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
        leased.add(key)
      } else if (!(await stored(proxy)))
        return err(`there is no ${kindOfType[proxy.type]} "${proxy.name}", and the proxy brings none`)
      else leased.delete(key)
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
      arrivals.gone(key)
      leases.closed(key, stream.id, leased.has(key))
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
      if (leases.isLive(key)) leaving.add(key)
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

function subjectOf(type: ProxyType, spec: DataplaneSpec): BootstrapSubject {
  if (type !== 'dataplane') return { isBuiltinGateway: false }
  const [service] = dataplaneServices(spec)
  const { address, admin } = spec.networking ?? {}
  return {
    ...(service === undefined ? {} : { service }),
    isBuiltinGateway: dataplaneRole(spec) === 'builtin',
    ...(address === undefined ? {} : { address }),
    ...(admin?.port === undefined ? {} : { adminPort: admin.port }),
  }
}
