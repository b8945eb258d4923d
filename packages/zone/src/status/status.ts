import { hostname } from 'node:os'
import type { AuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import type { Catalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { redisStatus } from '@zonemesh/plane/redis.ts'
import { clockWarning } from '@zonemesh/plane/status/clocks.ts'
import type { Expiry } from '@zonemesh/plane/status/expiry.ts'
import { createStatusReader, storeFault } from '@zonemesh/plane/status/store-fault.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { version as ownVersion } from '@zonemesh/shared/base/version.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Leadership } from '@zonemesh/shared/leader/election.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { isCurrent, type UplinkState } from '@zonemesh/shared/sync/uplink-state.ts'
import type { Engine } from '../engine/engine.ts'
import type { Leases } from '../leases/leases.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import { newerProxy, type OtherReplica, proxiesOf, proxyOf, type ReplicaProxy } from '../replicas/replica.ts'
import type { ZoneReplicas } from '../replicas/replicas.ts'
import type { OwnState } from './own.ts'
import type { Reporter } from './reporter.ts'

interface Deps {
  readonly store: Store
  readonly catalogue: Pick<Catalogue, 'report'>
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'after'>
  readonly engine: Pick<Engine, 'mark'>
  readonly own: OwnState
  readonly reporter: Pick<Reporter, 'together'>
  readonly quarantine: Pick<Quarantine, 'verdicts'>
  readonly leases: Pick<Leases, 'isLost' | 'isSuspect'>
  /** The session with the global; undefined for a standalone zone. */
  readonly uplink: { state(): UplinkState } | undefined
  readonly replicas: Pick<ZoneReplicas, 'others'>
  readonly leadership: Pick<Leadership, 'leader'>
  /** The name of this process, if other processes share its store. */
  readonly replica: string | undefined
  readonly redis: Pick<RedisLink, 'state' | 'counts'> | undefined
  readonly expiry: Pick<Expiry, 'report' | 'notYetValid'>
  /** The waiting rotations of the authorities of a standalone zone. */
  readonly rotations: AuthorityOwner['waits']
  readonly role: 'zone' | 'standalone'
  readonly zone: string
}

/** The states of a proxy in the status of its zone. */
export const proxyStates = ['connected', 'silent', 'suspect', 'lost', 'offline'] as const

/** The status of a zone and of its proxies, whichever replica they are connected to. */
export function createZoneStatus(deps: Deps) {
  const { replicas, own } = deps
  const readStored = createStatusReader(deps.clock, async () => ({
    revision: (await deps.store.head()).revision,
    expiring: await deps.expiry.report(),
    fields: await deps.catalogue.report(),
  }))
  const insightOf = (proxy: string): JsonObject | undefined =>
    newerProxy(own.proxyOf(proxy), proxyOf(replicas.others(), proxy))?.insight
  function stateOf(proxy: string, { isConnected }: ReplicaProxy, silent: readonly string[]) {
    if (deps.leases.isLost(proxy) || replicas.others().some(({ lost }) => lost.includes(proxy))) return 'lost'
    if (deps.leases.isSuspect(proxy)) return 'suspect'
    if (!isConnected) return 'offline'
    return silent.includes(proxy) ? 'silent' : 'connected'
  }
  function proxyReport([proxy, known]: readonly [string, ReplicaProxy], silent: readonly string[]): JsonObject {
    const { served, reason } = known
    const state: (typeof proxyStates)[number] = stateOf(proxy, known, silent)
    return { proxy, state, served, ...(reason === '' ? {} : { reason }) }
  }
  return {
    insightOf,
    insight: (_kind: string, row: Row) => insightOf(keyText(row.key)),
    /** Each proxy of the zone with its insight. */
    insights: (): Readonly<Record<string, JsonObject>> =>
      Object.fromEntries(
        [...proxiesOf([own.replica(), ...replicas.others()])].map(([key, { insight }]) => [key, insight]),
      ),
    async report(): Promise<JsonObject> {
      const known = await readStored()
      const { revision, expiring, fields } = known.value
      const { silent, verdicts } = deps.reporter.together()
      return {
        role: deps.role,
        zone: deps.zone,
        store: deps.store.id,
        ...storeFault(deps.store, known),
        ...redisStatus(deps.redis),
        revision,
        compiled: deps.engine.mark.value,
        ...(deps.uplink
          ? { uplink: sharedUplink(deps, uplinkReport(deps.uplink.state(), deps.clock.monotonicMs())) }
          : {}),
        ...replicasReport(deps),
        proxies: [...proxiesOf([own.replica(), ...replicas.others()])].map((entry) => proxyReport(entry, silent)),
        verdicts: verdicts
          .filter(({ outcome }) => outcome === 'rejected')
          .map(({ key, outcome, reason, subject }) => ({ key, outcome, reason, subject })),
        quarantined: deps.quarantine.verdicts().map((verdict) => ({
          key: verdict.source,
          reason: verdict.reason,
          since: new Date(verdict.atMs).toISOString(),
        })),
        rotations: deps.rotations().map((rotation) => ({ ...rotation })),
        expiring,
        notYetValid: deps.expiry.notYetValid(),
        ...fields,
      }
    },
  }
}

/**
 * The session as other replicas show it; undefined if another replica has it. Without the age of the bookmark, which
 * would change with each look.
 */
export function uplinkOf(state: UplinkState, nowMs: number): JsonObject | undefined {
  if (state.phase === 'standby') return undefined
  const { bookmarkMsAgo: _, ...report } = uplinkReport(state, nowMs)
  return report
}

/** The session of the zone as the replica shows it that has it. */
function sharedUplink({ replicas, uplink }: Pick<Deps, 'replicas' | 'uplink'>, own: JsonObject): JsonObject {
  if (uplink?.state().phase !== 'standby') return own
  const holder = replicas.others().find((other) => other.uplink !== undefined)
  return holder?.uplink ? { ...holder.uplink, replica: holder.instance } : own
}

type Shown = Pick<OtherReplica, 'instance' | 'host' | 'version' | 'compiled'>

/** The live processes of the zone, if several share its store. */
function replicasReport({ replica, leadership, replicas, engine }: Deps): JsonObject {
  if (replica === undefined) return {}
  const leader = leadership.leader()
  const entry = ({ instance, host, version, compiled }: Shown): JsonObject => ({
    ...{ name: instance, host, compiled },
    ...(version === undefined ? {} : { version }),
    leads: instance === leader,
  })
  const own = { instance: replica, host: hostname(), version: ownVersion, compiled: engine.mark.value }
  return { replicas: [own, ...replicas.others()].map(entry) }
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
