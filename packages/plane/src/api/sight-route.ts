import { explainedKinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import type { Router } from './route.ts'

/**
 * `GET /_sight`: the rows that something is compiled from, those that say what was left out, and of a zone what its proxies have
 * accepted. It is what an explanation is made of; no row in it has key material, sealed or not.
 */
export function registerSight(route: Router, plane: ApiPlane): void {
  route('GET', '/_sight', async ({ user }) => {
    requireAdmin(user, 'read what a plane has')
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
  })
}

/** What is sealed for somebody else stays where it is; that there is something is all that an explanation asks. */
const shown = (spec: JsonObject): JsonObject =>
  // A row that cannot be parsed may hold anything.
  typeof spec === 'object' && spec !== null && 'sealed' in spec ? { ...spec, sealed: '' } : spec
