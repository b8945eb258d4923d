import { findKind } from '@zonemesh/core/registry.ts'
import { z } from 'zod'
import { ApiError, badRequest, notFound } from './errors.ts'
import { forget } from './forget.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { findRow } from './resources.ts'
import type { Answer, Call, Router } from './route.ts'

const releaseRequest = z.strictObject({
  /** What is meant to be let through: if something else is held by now, nothing happens. */
  hold: z.string().optional(),
})

const conflict = (detail: string): ApiError => new ApiError(409, 'Nothing was done', detail)

async function requireZone(plane: ApiPlane, name: string): Promise<void> {
  if (plane.role !== 'global') {
    if (name !== plane.origin) throw conflict(`this is the control plane of zone "${plane.origin}", not of "${name}"`)
    return
  }
  const kind = findKind('Zone')
  if (!kind || !(await findRow(plane, kind, '', name))) throw notFound(`There is no Zone "${name}"`)
}

/** `POST /zones/<zone>/_release`: what the zone keeps back goes through. A global asks the zone, which has the last word. */
async function release(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name: zone = '' } = call.params
  requireAdmin(call.user, 'release what a zone holds')
  const parsed = releaseRequest.safeParse(call.body ?? {})
  if (!parsed.success) throw badRequest(parsed.error.issues.map(({ message }) => message).join('; '))
  await requireZone(plane, zone)
  const released = await plane.releaseHold?.(zone, parsed.data.hold)
  if (!released) throw conflict('this control plane holds nothing')
  if (!released.ok) throw conflict(released.error)
  const { id, reason } = released.value
  plane.log.warn({ zone, hold: id, user: call.user.name }, `an operator has released: ${reason}`)
  return { status: plane.role === 'global' ? 202 : 200, body: { zone, hold: { ...released.value } } }
}

/** `POST /zones/<zone>/_keep`: what remains of the zone's lost store stays for good. */
async function keep(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name: zone = '' } = call.params
  requireAdmin(call.user, 'keep what remains of a zone')
  if (!plane.keepFormer) {
    const where = `what remains of a lost store of a zone is kept by the global control plane: run it there${plane.writeElsewhere ? ` (${plane.writeElsewhere})` : ''}`
    throw new ApiError(405, 'Method not allowed', where)
  }
  await requireZone(plane, zone)
  if (!(await plane.keepFormer(zone, call.user.name)))
    throw conflict(`nothing remains of a former store of zone "${zone}"`)
  return { status: 200, body: { zone } }
}

/** What operators say to the guards of sync. */
export function registerGuards(route: Router, plane: ApiPlane): void {
  route('POST', '/zones/:name/_release', (call) => release(plane, call))
  route('POST', '/zones/:name/_keep', (call) => keep(plane, call))
  route('POST', '/zones/:name/_forget', (call) => forget(plane, call))
}
