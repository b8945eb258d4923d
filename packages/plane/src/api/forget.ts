import { parseAs } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import { globalOrigin, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import { type Change, positionText, type Store } from '@zonemesh/shared/store/store.ts'
import { isMass, removalsMax, removedShareMax } from '@zonemesh/shared/sync/log/holds.ts'
import { epochKind, partsOf, positionFrom, positionKey } from '@zonemesh/shared/sync/log/rounds.ts'
import { z } from 'zod'
import { readBody } from './bodies.ts'
import { ApiError } from './errors.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { isDeclared } from './removals.ts'
import { allRows, committed } from './resources.ts'
import type { Answer, Call } from './route.ts'

export const forgetRequest = z.strictObject({ declared: z.boolean().optional() })

const conflict = (detail: string): ApiError => new ApiError(409, 'Nothing was removed', detail)

/** The zones without a Zone resource whose rows are still in this store. */
export async function deletedZones({ store }: Pick<ApiPlane, 'store'>): Promise<readonly string[]> {
  const zones = new Set((await store.scan({ kind: zoneKind.name, origin: globalOrigin })).map(({ key }) => key.name))
  const { kind } = positionKey(globalOrigin, '')
  const positions = await store.scan({ kind, origin: globalOrigin })
  return positions.filter(({ key, spec }) => !zones.has(key.name) && spec['revision'] !== 0).map(({ key }) => key.name)
}

/**
 * Throws if the zone can still send rows. Returns the check that must still pass in the commit that removes its rows.
 */
async function requireDeleted(plane: ApiPlane, zone: string): Promise<Change> {
  const key: ResourceKey = { origin: globalOrigin, kind: zoneKind.name, mesh: '', name: zone }
  const version = await plane.store.get(key)
  if (version?.row) {
    const parsed = parseAs(zoneKind, version.row)
    if (!parsed.ok || isEnabled(parsed.value.spec)) throw conflict(`the Zone "${zone}" is enabled: delete it first`)
  }
  if (plane.isZoneOnline(zone))
    throw conflict(`the control plane of zone "${zone}" is still connected: stop it, or try again in a moment`)
  return { op: 'check', key, expect: version?.row ? { revision: version.revision } : { absent: true } }
}

/** Refuses (409) an undeclared removal of very many rows of one kind, counted over all zones. */
async function requireIntent(plane: ApiPlane, zone: string, rows: readonly Row[]): Promise<void> {
  const removedByKind = new Map<string, number>()
  for (const { key } of rows) removedByKind.set(key.kind, (removedByKind.get(key.kind) ?? 0) + 1)
  for (const [kind, removed] of removedByKind) {
    if (removed <= removalsMax) continue
    const total = (await allRows(plane, { kind })).length
    if (!isMass(removed, total)) continue
    throw conflict(
      `zone "${zone}" has ${removed} of ${total} ${kind}, more than ${removedShareMax * 100} % and more than ${removalsMax}: ` +
        'to remove all of them, confirm with ?declared=true, with "declared": true in the body, or with --yes-remove-many',
    )
  }
}

/**
 * Resets the position of the global in the log of a zone to the beginning, so that the zone sends all its rows in its
 * next session. The next epoch prevents every older session from writing rows of the zone.
 */
export async function rewindOf(store: Pick<Store, 'get'>, zone: string): Promise<Change[]> {
  const positionAt = positionKey(globalOrigin, zone)
  const epochAt = { ...positionAt, kind: epochKind }
  const position = positionFrom(await store.get(positionAt))
  const epoch = (await store.get(epochAt))?.row
  const changes: Change[] = []
  if (position)
    changes.push({ op: 'put', key: positionAt, labels: {}, spec: { ...position, revision: 0, commitId: '0' } })
  if (epoch) {
    const spec = { ...epoch.spec, epoch: Number(epoch.spec['epoch']) + 1 }
    changes.push({ op: 'put', key: epochAt, labels: {}, spec })
  }
  return changes
}

/**
 * `POST /zones/<zone>/_forget`: removes all rows of a deleted zone from this store, and thereby from all other zones.
 * If the zone returns, it sends all its rows again.
 */
export async function forget(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name: zone = '' } = call.params
  requireAdmin(call.user, 'forget a zone')
  readBody(forgetRequest, call.body ?? {})
  if (plane.role !== 'global') {
    const where = `only the global control plane forgets a zone: run this at its API${plane.globalApi ? ` (${plane.globalApi})` : ''}`
    throw new ApiError(405, 'Method not allowed', where)
  }
  const check = await requireDeleted(plane, zone)
  const rows = zone === globalOrigin ? [] : await allRows(plane, { origin: zone })
  const position = positionFrom(await plane.store.get(positionKey(globalOrigin, zone)))
  if (rows.length === 0 && (position?.revision ?? 0) === 0)
    throw new ApiError(404, 'Not found', `this control plane has no rows of zone "${zone}"`)
  if (!isDeclared(call)) await requireIntent(plane, zone, rows)
  const last = await rewindOf(plane.store, zone)
  const forgotten = rows.map(({ key }): Change => ({ op: 'forget', key }))
  const why = { subject: call.user.name, intent: `forget zone ${zone}` }
  const outcome = committed(await plane.store.commitRound(partsOf(forgotten, last, why, { guards: [check] })))
  const revision = positionText(outcome.position)
  plane.log.warn({ zone, rows: rows.length, user: call.user.name }, 'removed all rows of a deleted zone')
  return { status: 200, body: { zone, rows: rows.length, revision }, headers: { 'Zonemesh-Revision': revision } }
}
