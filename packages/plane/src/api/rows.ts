import { findKind } from '@zonemesh/core/registry.ts'
import { globalOrigin, keyText } from '@zonemesh/shared/resource/resource.ts'
import { positionFrom, positionKey } from '@zonemesh/shared/sync/log/rounds.ts'
import { badRequest } from './errors.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import type { Answer, Call, Router } from './route.ts'
import { objectShape } from './shape.ts'

const rowsPerPage = 500

/**
 * `GET /_rows`: the rows of the global in a zone, with their stamps, and the last mark of the global that the zone has
 * stored. A lost global is rebuilt from them. All pages are of one revision: `at` and `after` of a response select the
 * next page.
 */
async function rows(plane: ApiPlane, call: Call): Promise<Answer> {
  requireAdmin(call.user, 'read the rows of the global')
  if (plane.role !== 'zone') throw badRequest('only a zone that has joined a global stores rows of the global')
  const given = call.query.get('at')
  const at = given === null ? (await plane.store.mark()).revision : Number(given)
  if (!Number.isSafeInteger(at)) throw badRequest(`at: expected a revision, found "${given}"`)
  const after = call.query.get('after') ?? undefined
  const page = await plane.store.scan(
    { origin: globalOrigin },
    { at, limit: rowsPerPage, ...(after === undefined ? {} : { after }) },
  )
  const last = page.at(-1)
  const { name, kind } = positionKey(plane.origin, globalOrigin)
  const [position] = (await plane.store.scan({ origin: plane.origin, kind }, { at }))
    .filter((row) => row.key.name === name)
    .map((row) => positionFrom({ key: row.key, revision: at, state: 'live', stamp: row.stamp, row }))
  return {
    status: 200,
    body: {
      zone: plane.origin,
      at,
      position: position ?? null,
      rows: page.filter((row) => findKind(row.key.kind)?.travel === 'global-to-zones'),
      ...(last && page.length === rowsPerPage ? { after: keyText(last.key) } : {}),
    },
  }
}

/** Registers what a lost global is rebuilt from. */
export function registerRows(route: Router): void {
  route('GET', '/_rows', rows, {
    group: 'Operation',
    summary: 'Reads the rows of the global that a zone has, from which a lost global is rebuilt',
    access: 'administrators',
    query: { at: 'the revision of the first page', after: 'the key after which the page begins' },
    answers: { 200: { what: 'one page of at most 500 rows', shape: objectShape } },
  })
}
