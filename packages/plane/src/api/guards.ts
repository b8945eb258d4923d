import { findKind } from '@zonemesh/core/registry.ts'
import { z } from 'zod'
import { readBody } from './bodies.ts'
import { ApiError, notFound } from './errors.ts'
import { forget, forgetRequest } from './forget.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { findRow } from './resources.ts'
import type { About, Answer, Call, Router } from './route.ts'
import { objectShape, type Shape, schemaShape } from './shape.ts'

const releaseRequest = z.strictObject({
  /** The id of the hold to release. If the zone holds something else by now, the request is refused. */
  hold: z.string().optional(),
})

const conflict = (detail: string): ApiError => new ApiError(409, 'Nothing was done', detail)

/** Refuses a zone that does not exist, or that this plane does not serve. */
export async function requireZone(plane: ApiPlane, name: string): Promise<void> {
  if (plane.role !== 'global') {
    if (name !== plane.origin) throw conflict(`this is the control plane of zone "${plane.origin}", not of "${name}"`)
    return
  }
  const kind = findKind('Zone')
  if (!kind || !(await findRow(plane, kind, '', name)))
    throw notFound('Could not retrieve a resource', `there is no Zone "${name}"`)
}

/**
 * `POST /zones/<zone>/_release`: releases the hold of a zone. A global sends the request to the zone, which decides.
 */
async function release(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name: zone = '' } = call.params
  requireAdmin(call.user, 'release what a zone holds')
  const { hold } = readBody(releaseRequest, call.body ?? {})
  await requireZone(plane, zone)
  const released = await plane.releaseHold?.(zone, hold)
  if (!released) throw conflict('this control plane holds nothing')
  if (!released.ok) throw conflict(released.error)
  const { id, reason } = released.value
  plane.log.warn({ zone, hold: id, user: call.user.name }, `an operator released a hold: ${reason}`)
  return { status: plane.role === 'global' ? 202 : 200, body: { zone, hold: { ...released.value } } }
}

/** `POST /zones/<zone>/_keep`: keeps the remaining rows of a zone's lost store for good. */
async function keep(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name: zone = '' } = call.params
  requireAdmin(call.user, 'keep what remains of a zone')
  if (!plane.keepFormer) {
    const where = `only the global control plane keeps the remaining rows of a lost store of a zone: run this at its API${plane.globalApi ? ` (${plane.globalApi})` : ''}`
    throw new ApiError(405, 'Method not allowed', where)
  }
  await requireZone(plane, zone)
  if (!(await plane.keepFormer(zone, call.user.name)))
    throw conflict(`nothing remains of a former store of zone "${zone}"`)
  return { status: 200, body: { zone } }
}

/** Registers the requests of operators to the guards of sync. */
export function registerGuards(route: Router): void {
  const about = (summary: string, body: Shape | undefined, answers: About['answers']): About => ({
    group: 'Operation',
    summary,
    access: 'administrators',
    ...(body ? { body } : {}),
    answers,
  })
  const answer = (what: string) => ({ what, shape: objectShape })
  route(
    'POST',
    '/zones/:name/_release',
    release,
    about('Releases what a zone holds', schemaShape(releaseRequest), {
      200: answer('this zone released its hold'),
      202: answer('the global sent the request to the zone, which decides'),
    }),
  )
  route(
    'POST',
    '/zones/:name/_keep',
    keep,
    about('Keeps the remaining rows of a lost store of a zone', undefined, { 200: answer('the rows are kept') }),
  )
  route('POST', '/zones/:name/_forget', forget, {
    ...about('Removes all rows of a deleted zone', schemaShape(forgetRequest), {
      200: answer('the rows were removed'),
    }),
    query: { declared: '`true` confirms the removal of very many rows' },
  })
}
