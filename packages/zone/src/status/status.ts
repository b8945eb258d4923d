import { findKind } from '@zonemesh/core/registry.ts'
import type { AuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import type { Catalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { clockWarning } from '@zonemesh/plane/status/clocks.ts'
import type { Expiry } from '@zonemesh/plane/status/expiry.ts'
import { storeFault } from '@zonemesh/plane/status/store-fault.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { keyText, parseKeyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Uplink } from '@zonemesh/shared/sync/uplink.ts'
import { isCurrent, type UplinkState } from '@zonemesh/shared/sync/uplink-state.ts'
import type { Engine } from '../engine/engine.ts'
import type { Progress } from '../engine/progress.ts'
import type { Leases } from '../leases/leases.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Refusals } from '../refusals/refusals.ts'
import type { CertificateVerdict } from '../secrets/certificates.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { ProxyStatus } from './proxies.ts'

interface Deps {
  readonly store: Store
  readonly catalogue: Pick<Catalogue, 'report'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly engine: Pick<Engine, 'mark' | 'needsOf' | 'problemsOf' | 'leftOut'>
  readonly status: Pick<ProxyStatus, 'insightOf' | 'isConnected' | 'proxies' | 'verdicts'>
  readonly refusals: Pick<Refusals, 'verdicts'>
  readonly quarantine: Pick<Quarantine, 'verdicts'>
  readonly certificates: { verdicts(): readonly CertificateVerdict[] }
  readonly progress: Pick<Progress, 'read' | 'servedBy'>
  readonly leases: Pick<Leases, 'isLost' | 'isSuspect'>
  readonly uplink: Pick<Uplink, 'state'> | undefined
  readonly expiry: Pick<Expiry, 'report' | 'notYetValid'>
  /** The waiting rotations of the authorities of a standalone zone. */
  readonly rotations: AuthorityOwner['waits']
  readonly role: 'zone' | 'standalone'
  readonly zone: string
}

/** A row in a reason, by its key text: `MeshGateway default/edge`. A source that is no row stays as it is. */
function rowText(source: string): string {
  const { kind, mesh, name } = parseKeyText(source)
  return findKind(kind) ? `${kind} ${mesh === '' ? '' : `${mesh}/`}${name}` : source
}

/** The states of a proxy in the status of its zone. */
export const proxyStates = ['connected', 'silent', 'suspect', 'lost', 'offline'] as const

/** The status of a zone and of its proxies. */
export function createZoneStatus(deps: Deps) {
  const insightOf = (proxy: string, secrets: Secrets): JsonObject | undefined => {
    const need = deps.engine.needsOf(proxy).find(({ type }) => type === 'identity')
    return deps.status.insightOf(proxy, need && secrets.identityOf(need))
  }
  function stateOf(proxy: string, silent: readonly string[]): (typeof proxyStates)[number] {
    if (deps.leases.isLost(proxy)) return 'lost'
    if (deps.leases.isSuspect(proxy)) return 'suspect'
    if (!deps.status.isConnected(proxy)) return 'offline'
    return silent.includes(proxy) ? 'silent' : 'connected'
  }
  return {
    insightOf,
    insight: (_kind: string, row: Row, secrets: Secrets) => insightOf(keyText(row.key), secrets),
    async report(): Promise<JsonObject> {
      const head = await deps.store.head()
      const { silent } = deps.progress.read()
      const proxies = deps.status.proxies().map((proxy): JsonObject => {
        const problems = deps.engine.problemsOf(proxy)
        const state = stateOf(proxy, silent)
        return {
          proxy,
          state,
          served: deps.progress.servedBy(proxy),
          ...(problems.length > 0
            ? { reason: problems.map(({ source, reason }) => `${rowText(source)}: ${reason}`).join('; ') }
            : {}),
        }
      })
      return {
        role: deps.role,
        zone: deps.zone,
        store: deps.store.id,
        ...storeFault(deps.store),
        revision: head.revision,
        compiled: deps.engine.mark.value,
        ...(deps.uplink ? { uplink: uplinkReport(deps.uplink.state.value, deps.clock.monotonicMs()) } : {}),
        proxies,
        verdicts: [
          ...deps.refusals.verdicts(),
          ...deps.status.verdicts(),
          ...[...deps.certificates.verdicts(), ...deps.engine.leftOut()].map((verdict) => ({ ...verdict, proxy: '' })),
        ].map((verdict) => ({
          key: verdict.source,
          outcome: 'rejected',
          reason: verdict.reason,
          subject: verdict.proxy,
        })),
        quarantined: deps.quarantine.verdicts().map((verdict) => ({
          key: verdict.source,
          reason: verdict.reason,
          since: new Date(verdict.atMs).toISOString(),
        })),
        rotations: deps.rotations().map((rotation) => ({ ...rotation })),
        expiring: await deps.expiry.report(),
        notYetValid: deps.expiry.notYetValid(),
        ...(await deps.catalogue.report()),
      }
    },
  }
}

/**
 * `current` is true only if the stream of the global has confirmed it within the time after which silence ends a
 * session.
 */
function uplinkReport(state: UplinkState, nowMs: number): JsonObject {
  const { phase, reason, epoch, position, globalStoreId, globalMark, hold, bookmarkAtMs } = state
  const revision = position?.revision ?? 0
  const isSame = position === undefined || position.store === globalStoreId
  return {
    phase,
    reason,
    since: new Date(state.sinceMs).toISOString(),
    global: globalStoreId ?? '',
    revision,
    current: isCurrent(state, nowMs),
    ...(epoch === undefined ? {} : { epoch }),
    // A global whose store does not respond has no mark to compare with.
    ...(phase === 'connected' && isSame && globalMark !== Number.MAX_SAFE_INTEGER
      ? { lagRevisions: Math.max(0, globalMark - revision) }
      : {}),
    ...(Number.isFinite(bookmarkAtMs) ? { bookmarkMsAgo: Math.round(nowMs - bookmarkAtMs) } : {}),
    ...(phase === 'connected' ? clockWarning(state.clockAheadMs) : {}),
    up: { sent: state.sent, stored: state.storedByGlobal },
    ...(hold ? { hold: { ...hold } } : {}),
  }
}
