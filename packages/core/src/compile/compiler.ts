import { keyText, parseKeyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { createEgresses } from '../edge/egress.ts'
import { createEndpoints } from '../edge/endpoints.ts'
import { createIngresses } from '../edge/ingress.ts'
import { createMeshes } from '../edge/meshes.ts'
import { emit } from '../emit/emit.ts'
import { proveRetries, proveTimeouts } from '../emit/policies.ts'
import { proveRoute } from '../emit/route.ts'
import type { ProxyFacts, ProxyTable } from '../emit/table.ts'
import { createGatewayCertificates } from '../gateway/certificates.ts'
import { createCrossMesh } from '../gateway/cross-mesh.ts'
import { createGateways } from '../gateway/gateway.ts'
import { createGatewayListeners } from '../gateway/listeners.ts'
import { createGatewayRoutes } from '../gateway/routes.ts'
import { createGatewaySelection } from '../gateway/select.ts'
import { createGatewayTcp } from '../gateway/tcp.ts'
import { dataplane } from '../kinds/dataplane.ts'
import { dataplaneRole } from '../kinds/dataplane-spec.ts'
import { proxyKinds } from '../kinds/proxies.ts'
import { connectionKind, createConnections } from '../match/connections.ts'
import { createExclusions } from '../model/exclusions.ts'
import type { ProxyModel } from '../model/model.ts'
import { mergeRetries } from '../policies/retry/retries.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { defaultTimeouts, mergeTimeouts } from '../policies/timeout/timeouts.ts'
import { createSidecars } from '../sidecar/sidecar.ts'
import type { Crash, FaultPoint } from '../view/crash.ts'
import { HeldError, type Problem } from '../view/problem.ts'
import { type Cell, createUnits } from '../view/units.ts'
import { createView, type HeldRow, type RowVersion } from '../view/view.ts'
import { createQuarantine } from './quarantine.ts'

export type { FaultPoint } from '../view/crash.ts'
export { type HeldRow, rowVersion } from '../view/view.ts'

export interface Compiler {
  /** Applies rows of all origins and moves the mark. Returns the proxies (key texts) whose tables may differ. */
  apply(versions: readonly Version[], mark: number): ReadonlySet<string>
  /**
   * The complete configuration of a proxy; the same object while nothing changed. `proxy` is the key text of a
   * Dataplane, a ZoneIngress or a ZoneEgress of this zone; the result is undefined if there is no such row. If a row
   * makes a unit fail, the compiler ignores that version of the row (see `drainHeld`). While a Mesh is held back, its
   * proxies have no table. Throws only if no row is at fault.
   */
  table(proxy: string, facts: ProxyFacts): ProxyTable | undefined
  /** The model and the problems behind `table`, for explanations. */
  look(
    proxy: string,
    facts: ProxyFacts,
  ): { readonly model: ProxyModel | undefined; readonly problems: readonly Problem[] }
  /**
   * Computes the units that `table` will need, at most `unitsMax` of them. Returns true when none remain. A shell uses
   * it to avoid blocking its event loop while a large gateway is compiled for the first time. `table` also works
   * without preparation.
   */
  prepare(proxy: string, facts: ProxyFacts, unitsMax: number): boolean
  /** Leaves out a contribution until it changes, because Envoy refused it. Returns the same as `apply`. */
  exclude(source: string, hash: string): ReadonlySet<string>
  /** Includes an excluded contribution again. Returns the same as `apply`. */
  readmit(source: string, hash: string): ReadonlySet<string>
  /**
   * Holds back a version of a row that made an earlier process fail. The version may not have arrived yet. Returns the
   * same as `apply`.
   */
  hold(source: string, version: string): ReadonlySet<string>
  /** Whether this version of a row is held back. */
  isHeld(row: RowVersion): boolean
  /** The rows that were held back since the last call, and the proxies whose tables may differ as a result. */
  drainHeld(): { readonly rows: readonly HeldRow[]; readonly touched: ReadonlySet<string> }
  readonly counters: { readonly unitsCompiled: number }
}

interface CompilerDeps {
  readonly zone: string
  /** For tests and simulation; see `FaultPoint`. It is also called as unit `index <key>` when a row is indexed. */
  readonly faultPoint?: FaultPoint
}

/**
 * Compiles rows into tables, without effects. Nothing is compiled before a table is read, and then only what a change
 * affected: every unit records what it reads.
 */
export function createCompiler({ zone, faultPoint }: CompilerDeps): Compiler {
  const units = createUnits({ faultPoint })
  const view = createView(units, zone, faultPoint)
  const quarantine = createQuarantine(units, view)
  const exclusions = createExclusions(units)
  const meshes = createMeshes(units, view)
  const connections = createConnections(units, view, [
    connectionKind(timeout, (spec) => proveTimeouts(mergeTimeouts(spec, defaultTimeouts.outbound))),
    connectionKind(retry, (spec) => proveRetries(mergeRetries(spec))),
  ])
  const selection = createGatewaySelection(units, view)
  const endpoints = createEndpoints(units, view, meshes, createCrossMesh(units, view, meshes, selection))
  const routes = createGatewayRoutes(units, view, selection, connections, exclusions, proveRoute)
  const tcp = createGatewayTcp(units, view, exclusions, routes)
  const certificates = createGatewayCertificates(units, view, exclusions)
  const listeners = createGatewayListeners(units, meshes, selection, tcp, certificates, exclusions)
  const gateway = createGateways(units, view, meshes, endpoints, selection, routes, listeners)
  const sidecar = createSidecars(units, view, meshes, endpoints, connections)
  const ingress = createIngresses(units, view, endpoints)
  const egress = createEgresses(units, view, endpoints)
  let mark = 0

  interface Proxy {
    readonly facts: Cell<ProxyFacts>
    readonly root: {
      read(): { value: ProxyModel | undefined; problems: readonly Problem[] }
      crash(): Crash | undefined
      close(): void
    }
    made?: { model: ProxyModel; problems: readonly Problem[]; table: ProxyTable }
  }
  const proxies = new Map<string, Proxy>()

  function open(proxy: string, first: ProxyFacts): Proxy {
    const facts = units.cell(`facts ${proxy}`, first)
    const { kind } = parseKeyText(proxy)
    const root = units.root(proxy, (): ProxyModel | undefined => {
      if (kind === 'ZoneIngress') return ingress(proxy)
      if (kind === 'ZoneEgress') return egress(proxy)
      const row = view.row(dataplane, proxy)
      if (!row) return undefined
      if (dataplaneRole(row.spec) === 'builtin') return gateway(proxy)
      const { part, canBindPort80 } = facts.read()
      return sidecar(proxy, part, canBindPort80)
    })
    const opened: Proxy = { facts, root }
    proxies.set(proxy, opened)
    return opened
  }

  const isProxyHere = ({ origin, kind }: ResourceKey): boolean => origin === zone && proxyKinds.has(kind)

  /** The compilation of a proxy of this zone, if the proxy has a row. */
  function find(proxy: string, facts: ProxyFacts): Proxy | undefined {
    if (!isProxyHere(parseKeyText(proxy)) || !view.stored(proxy)) return undefined
    const found = proxies.get(proxy) ?? open(proxy, facts)
    found.facts.write(facts)
    units.drainTouched()
    return found
  }

  return {
    counters: units.counters,
    apply(versions, newMark) {
      mark = newMark
      quarantine.applied(versions, view.apply(versions))
      const touched = new Set<string>()
      for (const version of versions) {
        const text = keyText(version.key)
        // A new version of a row is tried again, even if its content is the one that Envoy refused.
        exclusions.drop(text)
        const known = proxies.get(text)
        // A proxy that connected before its row existed has no table yet, and no unit reports the change.
        if (version.row && !known && isProxyHere(version.key)) touched.add(text)
        if (version.row || !known) continue
        known.root.close()
        proxies.delete(text)
        touched.add(text)
      }
      for (const text of units.drainTouched()) touched.add(text)
      return touched
    },
    table(proxy, facts) {
      const found = find(proxy, facts)
      if (!found) return undefined
      quarantine.heal(proxy, found.root.crash)
      const read = unlessHeld(found.root.read)
      if (!read?.value) return undefined
      const { value: model, problems } = read
      if (found.made?.model !== model || found.made.problems !== problems) {
        found.made = { model, problems, table: emit(model, mark, problems) }
      }
      return found.made.table
    },
    look(proxy, facts) {
      const read = unlessHeld(() => find(proxy, facts)?.root.read())
      return { model: read?.value, problems: read?.problems ?? [] }
    },
    prepare(proxy, facts, unitsMax) {
      const found = find(proxy, facts)
      return (
        !found ||
        units.within(unitsMax, () => {
          unlessHeld(found.root.read)
        })
      )
    },
    hold(source, version) {
      view.hold(source, version)
      return new Set(units.drainTouched())
    },
    isHeld: view.isHeld,
    drainHeld: quarantine.drain,
    exclude(source, hash) {
      exclusions.add(source, hash)
      return new Set(units.drainTouched())
    },
    readmit(source, hash) {
      exclusions.remove(source, hash)
      return new Set(units.drainTouched())
    },
  }
}

/** Undefined if a required row is held back. */
function unlessHeld<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    if (thrown instanceof HeldError) return undefined
    throw thrown
  }
}
