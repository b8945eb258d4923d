import { gatewayCertificate } from '@zonemesh/core/kinds/internal.ts'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { secretsOf } from '@zonemesh/core/parse.ts'
import type { Receipt, ZoneReceipt } from '@zonemesh/plane/api/answers.ts'
import { badRequest } from '@zonemesh/plane/api/errors.ts'
import type { ReceiptWait } from '@zonemesh/plane/api/plane.ts'
import { globalOrigin, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { newestEpochs } from '@zonemesh/shared/sync/epochs.ts'
import type { Verdict } from '@zonemesh/shared/sync/log/messages.ts'
import type { Receipt as SyncReceipt } from '@zonemesh/shared/sync/receipts.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'
import { enabledZones } from './status/enabled-zones.ts'

interface Deps {
  readonly store: Store
  readonly sync: Pick<SyncServer, 'zones' | 'waitFor'>
  /** Resolves when the certificates of listeners are derived from all commits of this process. */
  derived(): Promise<void>
}

/**
 * Waits until zones store or serve a revision: the named zones, all enabled zones, or those that are online. Throws an
 * ApiError if a named zone does not exist or is disabled.
 */
export async function waitForReceipt({ store, sync, derived }: Deps, wait: ReceiptWait): Promise<Receipt> {
  const { revision, level, timeoutMs } = wait
  const enabled = await enabledZones(store)
  const started = await newestEpochs(store)
  // After a start of this process, a zone that has joined before may not have connected yet: it counts as online.
  const mayBeOnline = (zone: string) => sync.zones().get(zone)?.connected ?? started.has(zone)
  const zones = wait.zones === 'online' ? enabled.filter(mayBeOnline) : wait.zones === 'every' ? enabled : wait.zones
  requireEnabled(zones, enabled)
  const earlier = new Set(zones.flatMap((zone) => (sync.zones().get(zone)?.verdicts ?? []).map(verdictText(zone))))
  await derived()
  const awaitedRevision = await revisionWithCertificates(store, revision)
  const results = await sync.waitFor(
    { revision: awaitedRevision, level, zones, timeoutMs },
    new AbortController().signal,
  )
  // An older verdict does not belong to this revision, unless this revision wrote its row.
  const belongs = async (zone: string, verdict: Verdict): Promise<boolean> =>
    !earlier.has(verdictText(zone)(verdict)) || (await store.get(parseKeyText(verdict.key)))?.revision === revision
  const awaited = await Promise.all(
    results.map(async (result) => {
      const counts = await Promise.all(result.verdicts.map((verdict) => belongs(result.zone, verdict)))
      return zoneReceipt(
        result,
        result.verdicts.filter((_, index) => counts[index]),
      )
    }),
  )
  const others = wait.zones === 'online' ? enabled.filter((zone) => !zones.includes(zone)) : []
  return {
    revision: String(revision),
    level,
    // If zones exist and none is online, nobody has the revision.
    complete: awaited.every(({ state }) => state === 'reached') && (awaited.length > 0 || enabled.length === 0),
    zones: [...awaited, ...others.map((zone) => notAwaited(zone, started.has(zone), sync))].sort(byZone),
  }
}

/**
 * The revision at which the certificates are written that follow from a commit: zones receive a Secret only as these.
 */
async function revisionWithCertificates(store: Store, revision: number): Promise<number> {
  const named = (await versionsAt(store, revision)).flatMap(({ key, row }) =>
    (key.kind === 'Secret' ? [key.name] : row ? secretsOf(row) : []).map((secret) => `${key.mesh}/${secret}`),
  )
  if (named.length === 0) return revision
  const secrets = new Set(named)
  const rows = parsedRows(gatewayCertificate, await store.scan({ kind: gatewayCertificate.name, origin: globalOrigin }))
  const found = rows.filter(({ key, spec }) => secrets.has(`${key.mesh}/${spec.secret}`))
  const newest = await Promise.all(found.map(async ({ key }) => (await store.get(key))?.revision ?? 0))
  return Math.max(revision, ...newest)
}

/** The versions that a commit wrote; none if the history no longer has it. */
async function versionsAt(store: Store, revision: number): Promise<readonly Version[]> {
  try {
    return revision > 0 ? (await store.changesSince(revision - 1, revision)).versions : []
  } catch (thrown) {
    if (thrown instanceof HorizonError) return []
    throw thrown
  }
}

const byZone = (a: ZoneReceipt, b: ZoneReceipt): number => (a.zone < b.zone ? -1 : 1)

/** The text by which a verdict that a zone reported before the wait is recognized. */
const verdictText =
  (zone: string) =>
  ({ key, reason, subject }: Verdict): string =>
    `${zone} ${key} ${subject} ${reason}`

function requireEnabled(zones: readonly string[], enabled: readonly string[]): void {
  const unknown = zones.find((zone) => !enabled.includes(zone))
  if (unknown === undefined) return
  const candidate = nearest(unknown, enabled)
  throw badRequest(
    `wait: there is no enabled zone "${unknown}"${candidate ? `; did you mean "${candidate}"?` : ''} (there are: ${[...enabled].sort().join(', ') || 'none'})`,
  )
}

function zoneReceipt(result: SyncReceipt, verdicts: readonly Verdict[]): ZoneReceipt {
  const rejected = verdicts.map(
    (verdict) => `${verdict.key.split('/').slice(1).filter(Boolean).join('/')}: ${verdict.reason}`,
  )
  const silent = result.silentProxies.length > 0 ? [`silent: ${result.silentProxies.join(', ')}`] : []
  const reason = [...(result.state === 'pending' ? [result.reason] : []), ...rejected, ...silent].join('; ')
  const delayMs = result.state === 'done' ? result.delayMs : undefined
  return {
    zone: result.zone,
    state: result.state === 'pending' ? 'pending' : rejected.length > 0 ? 'refused' : 'reached',
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(reason === '' ? {} : { reason }),
  }
}

function notAwaited(zone: string, hasStarted: boolean, sync: Deps['sync']): ZoneReceipt {
  if (!hasStarted)
    return { zone, state: 'not-started', reason: 'not awaited: no control plane has joined as this zone' }
  const end = sync.zones().get(zone)?.lastEnd
  return { zone, state: 'offline', reason: `not awaited: ${end === undefined ? 'not connected' : end}` }
}
