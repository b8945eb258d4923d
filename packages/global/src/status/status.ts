import { specOf } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone } from '@zonemesh/core/kinds/zone.ts'
import { deletedZones } from '@zonemesh/plane/api/forget.ts'
import type { AuthorityOwner } from '@zonemesh/plane/authority/owner.ts'
import type { Catalogue } from '@zonemesh/plane/catalogue/catalogue.ts'
import { redisStatus } from '@zonemesh/plane/redis.ts'
import { clockWarning } from '@zonemesh/plane/status/clocks.ts'
import type { Expiry } from '@zonemesh/plane/status/expiry.ts'
import { createStatusReader, storeFault } from '@zonemesh/plane/status/store-fault.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { RedisLink } from '@zonemesh/shared/redis/link.ts'
import { globalOrigin, keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { newestEpochs } from '@zonemesh/shared/sync/epochs.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'
import type { ZoneStatus } from '@zonemesh/shared/sync/zone-status.ts'
import type { RefusedRow } from '../limits/refused.ts'

interface Deps {
  readonly store: Store
  readonly sync: Pick<SyncServer, 'zones' | 'formers'>
  /** The rows of a zone that limits or quotas have refused. */
  readonly refused: (zone: string) => readonly RefusedRow[]
  readonly clock: Pick<Clock, 'wallMs' | 'after'>
  readonly expiry: Pick<Expiry, 'report' | 'notYetValid'>
  readonly owner: Pick<AuthorityOwner, 'waits'>
  readonly catalogue: Pick<Catalogue, 'report'>
  readonly redis?: Pick<RedisLink, 'state' | 'counts'> | undefined
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** The last report of a zone on its proxies: insights by key text. */
const reported = (status: ZoneStatus | undefined): Readonly<Record<string, JsonObject>> => status?.report ?? {}

/** Kuma's ZoneInsight, as far as its fields have a meaning here. */
function zoneInsight(status: ZoneStatus): JsonObject {
  const { rowsApplied, rowsRefused } = status.counters
  return {
    subscriptions: [
      {
        id: `${status.zone}-${status.epoch}`,
        globalInstanceId: 'global',
        zoneInstanceId: status.host,
        ...(status.connected
          ? { connectTime: iso(status.sinceMs) }
          : { connectTime: iso(status.startedAtMs), disconnectTime: iso(status.sinceMs) }),
        generation: status.epoch,
        status: {
          lastUpdateTime: iso(status.lastBookmarkAtMs),
          total: {
            responsesSent: String(rowsApplied + rowsRefused),
            responsesAcknowledged: String(rowsApplied),
            ...(rowsRefused > 0 ? { responsesRejected: String(rowsRefused) } : {}),
          },
          stat: {},
        },
        version: { kumaCp: { version: status.version } },
        authTokenProvided: true,
      },
    ],
  }
}

/** The state of zones and proxies. It comes from bookmarks, is kept in memory only, and has no history. */
export function createStatus({ store, sync, refused, clock, expiry, owner, catalogue, redis }: Deps) {
  const readStored = createStatusReader(clock, async () => ({
    head: await store.head(),
    mark: await store.mark(),
    rows: await store.scan({ kind: 'Zone', origin: globalOrigin }),
    started: await newestEpochs(store),
    deletedZones: await deletedZones({ store }),
    expiring: await expiry.report(),
    fields: await catalogue.report(),
  }))
  return {
    insight(kind: string, row: Row): JsonObject | undefined {
      if (kind === 'Zone') {
        const status = sync.zones().get(row.key.name)
        return status && status.epoch > 0 ? zoneInsight(status) : undefined
      }
      return reported(sync.zones().get(row.key.origin))[keyText(row.key)]
    },
    async report(): Promise<JsonObject> {
      const known = await readStored()
      const { head, mark, rows, started, expiring, fields } = known.value
      const isSilent = known.silentSinceMs !== undefined
      const now: Now = { head: head.revision, mark: mark.revision, wallMs: clock.wallMs(), isSilent }
      const seen = sync.zones()
      const formers = sync.formers()
      const zones = rows.map((row): JsonObject => {
        const { name } = row.key
        const status = seen.get(name)
        const former = formers.get(name)
        return {
          zone: name,
          enabled: isEnabled(specOf(zone, row) ?? { enabled: false }),
          ...(status ? zoneReport(status, now) : started.has(name) ? unseen : notStarted),
          ...refusedReport(refused(name)),
          ...(former ? { remains: { ...former } } : {}),
        }
      })
      const faults = { ...storeFault(store, known), ...redisStatus(redis) }
      const facts = { role: 'global', store: store.id, ...faults, revision: head.revision, mark: mark.revision }
      return {
        ...facts,
        zones,
        deletedZones: known.value.deletedZones,
        rotations: owner.waits().map((rotation) => ({ ...rotation })),
        expiring,
        notYetValid: expiry.notYetValid(),
        ...fields,
      }
    },
  }
}

/** The first hundred refused rows, and their total number. */
const refusedReport = (rows: readonly RefusedRow[]): JsonObject =>
  rows.length === 0
    ? {}
    : { refused: rows.slice(0, 100).map((row) => ({ ...row, outcome: 'refused' })), refusedTotal: rows.length }

interface Now {
  readonly head: number
  /** The mark that a current zone has stored. Other processes of the store also move it. */
  readonly mark: number
  readonly wallMs: number
  /** The store does not answer, so other processes may have committed newer rows. */
  readonly isSilent: boolean
}

const unseen: JsonObject = {
  connected: false,
  current: false,
  holds: [],
  quarantined: [],
  reason: 'never seen since this control plane started',
}

const notStarted: JsonObject = { ...unseen, started: false, reason: 'no control plane has joined as this zone' }

function zoneReport(status: ZoneStatus, now: Now): JsonObject {
  const lag = Math.max(status.lag, now.mark - status.stored)
  const reason = status.connected ? status.blocked || undefined : (status.lastEnd ?? 'connection lost')
  return {
    connected: status.connected,
    since: iso(status.sinceMs),
    epoch: status.epoch,
    host: status.host,
    version: status.version,
    protocol: status.agreement.protocol,
    revision: { head: now.head, sent: status.sent, stored: status.stored, served: status.served },
    current: status.current && lag === 0 && !now.isSilent,
    lagRevisions: lag,
    lagMs: status.lagMs,
    lastProgressMsAgo: status.lastProgressAtMs > 0 ? Math.round(now.wallMs - status.lastProgressAtMs) : -1,
    ...(status.connected ? clockWarning(status.clockAheadMs) : {}),
    holds: status.holds.map((hold) => ({ ...hold })),
    quarantined: status.verdicts.filter(({ outcome }) => outcome === 'quarantined').map((verdict) => ({ ...verdict })),
    proxies: {
      total: status.counters.proxies,
      connected: status.counters.proxiesConnected,
      silent: [...status.silentProxies],
      ...(status.reportLeftOut > 0 ? { reportsLeftOut: status.reportLeftOut } : {}),
    },
    verdicts: status.verdicts.map((verdict) => ({ ...verdict })),
    ...(status.lastEnd === undefined ? {} : { lastEnd: endOf(status, status.lastEnd, now.wallMs) }),
    ...(reason === undefined ? {} : { reason }),
  }
}

/** How the last session ended, or why a later attempt was refused. A connected zone may have this too. */
const endOf = ({ lastEndCode, lastEndAtMs }: ZoneStatus, reason: string, wallMs: number): JsonObject => ({
  reason,
  code: lastEndCode ?? 'lost',
  msAgo: Math.round(wallMs - lastEndAtMs),
})
