import { explainedKinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import type { Answer, Call, Router } from './route.ts'
import { objectShape } from './shape.ts'

/**
 * `GET /_sight`: the input of `zonemesh explain`. It contains the rows from which configuration is compiled, the rows
 * that record what was left out, and, on a zone, what its proxies have accepted. No row contains a key, sealed or not.
 */
async function sight(plane: ApiPlane, { user }: Call): Promise<Answer> {
  requireAdmin(user, 'read the rows of a control plane')
  const { revision } = await plane.store.mark()
  const rows = (await Promise.all(explainedKinds.map((kind) => plane.store.scan({ kind }, { at: revision })))).flat()
  return {
    status: 200,
    body: {
      name: plane.origin,
      role: plane.role,
      revision,
      rows: rows.map(({ key, stamp, labels, spec }) => ({
        key: { ...key },
        stamp: { ...stamp },
        labels,
        spec: shown(spec),
      })),
      proxies: plane.proxySights?.() ?? {},
    },
  }
}

/** Registers what `zonemesh explain` reads. */
export function registerSight(route: Router): void {
  route('GET', '/_sight', sight, {
    group: 'Operation',
    summary: 'Shows what `zonemesh explain` reads',
    access: 'administrators',
    answers: {
      200: { what: 'the rows that decide configuration, and what proxies have accepted', shape: objectShape },
    },
  })
}

/** Removes sealed content: an explanation only needs to know that it exists. */
const shown = (spec: JsonObject): JsonObject =>
  // A row that cannot be parsed may have any value as its spec.
  typeof spec === 'object' && spec !== null && 'sealed' in spec ? { ...spec, sealed: '' } : spec
