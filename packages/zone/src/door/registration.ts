import { admit, refusalLines } from '@zonemesh/core/admit/admit.ts'
import { meshLabel, originLabel, proxyTypeLabel, zoneLabel } from '@zonemesh/core/kinds/common.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { proxyTypeOf } from '@zonemesh/core/kinds/proxies.ts'
import { type Placement, placementFaults } from '@zonemesh/plane/api/placement.ts'
import { completeSpec } from '@zonemesh/plane/api/resources.ts'
import type { Sealer } from '@zonemesh/plane/authority/seal.ts'
import { err, type JsonObject, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Expect, Store } from '@zonemesh/shared/store/store.ts'
import { type Credentials, kindOfType, type ProxyIdentity, proxyKey } from '../xds/contract.ts'
import { createArrivals, type Registration } from './arrival.ts'
import { coversRow } from './authenticate.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly role: 'zone' | 'standalone'
  readonly sealer: Sealer
  readonly placement: Placement
  readonly clock: Clock
  readonly log: Log
  /** Whether the stream of a proxy is still there. */
  isConnected(proxy: string): boolean
  /** Whether the row of a proxy was removed while its stream drains. */
  isLeaving(proxy: string): boolean
}

/** What a proxy brings, as admission has parsed and completed it. */
interface Brought {
  readonly mesh: string
  readonly name: string
  readonly spec: JsonObject
  readonly labels: Record<string, string>
  /** The same spec, of a Dataplane only. */
  readonly dataplane: DataplaneSpec | undefined
}

/** The label of rows that a proxy has registered by its stream: they end with their lease. */
const leaseLabel = 'zonemesh.io/lease'

/** A store that could not be written is tried again after so long. */
const arrivalAgainMs = 1_000
/** A row that changes while it is registered is read again so often. */
const registerTries = 3

/** Writes the rows of proxies: first as ones that nobody is led to, then, when their Envoys have answered, as what they are. */
export function createRegistrations(deps: Deps) {
  const { store, zone, log } = deps
  const arrivals = createArrivals()

  const stored = async (proxy: ProxyIdentity): Promise<Row | undefined> => (await store.get(proxyKey(zone, proxy)))?.row

  /** The row follows the proxy's own resource; an equal one is not written again. */
  async function register(
    proxy: ProxyIdentity,
    credentials: Credentials,
    resource: JsonObject,
  ): Promise<Result<void, string>> {
    const result = readResource(deps, proxy, resource)
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
      // The row that the credentials cover is the one that is replaced.
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

  /** Its Envoy listens: others may be led there. */
  function arrive(proxy: ProxyIdentity, key: string): void {
    const registration = arrivals.arrived(key)
    if (!registration || deps.isLeaving(key)) return
    put(proxy, registration, 'its Envoy has answered').catch((cause: unknown) => {
      log.warn({ proxy: key, reason: messageOf(cause) }, 'cannot write that a proxy is ready; it is tried again')
      if (!deps.isConnected(key)) return
      arrivals.again(key, registration)
      deps.clock.after(arrivalAgainMs, () => arrive(proxy, key))
    })
  }

  return {
    stored,
    read: (proxy: Pick<ProxyIdentity, 'type'>, resource: JsonObject) => readResource(deps, proxy, resource),
    register,
    arrive,
    gone: arrivals.gone,
  }
}
export type Registrations = ReturnType<typeof createRegistrations>

/** The spec of the resource a proxy brings, completed; or why it cannot be taken. */
function readResource(
  deps: Pick<Deps, 'zone' | 'role' | 'sealer' | 'placement'>,
  proxy: Pick<ProxyIdentity, 'type'>,
  resource: JsonObject,
): Result<Brought, string> {
  const { zone, role, sealer } = deps
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
    // A kind of proxies, as was seen above.
    [proxyTypeLabel]: proxyTypeOf(kind.name, spec) ?? '',
  }
  const completed = completeSpec({ role, origin: zone, sealer }, kind, spec)
  // Admission has parsed it as the kind that the type of the proxy names.
  const dataplane = proxy.type === 'dataplane' ? (completed as DataplaneSpec) : undefined
  return ok({ mesh, name, spec: completed, labels: { ...labels, ...computed }, dataplane })
}
