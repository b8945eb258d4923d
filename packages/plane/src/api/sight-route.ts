import { explainedKinds } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { requireZone } from './guards.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { askZone } from './queries.ts'
import type { About, Answer, Call, Router } from './route.ts'
import { objectShape } from './shape.ts'

type Seen = Pick<ApiPlane, 'store' | 'origin' | 'role' | 'proxySights'>

/**
 * The input of `zonemesh explain`: the rows from which configuration is compiled, the rows that record what was left
 * out, and, on a zone, what its proxies have accepted. No row contains a key, sealed or not.
 */
export async function readSight({ store, origin, role, proxySights }: Seen): Promise<JsonObject> {
  const { revision } = await store.mark()
  const rows = (await Promise.all(explainedKinds.map((kind) => store.scan({ kind }, { at: revision })))).flat()
  return {
    name: origin,
    role,
    revision,
    rows: rows.map(({ key, stamp, labels, spec }) => ({
      key: { ...key },
      stamp: { ...stamp },
      labels,
      spec: shown(spec),
    })),
    proxies: (await proxySights?.()) ?? {},
  }
}

async function sight(plane: ApiPlane, { user }: Call): Promise<Answer> {
  requireAdmin(user, 'read the rows of a control plane')
  return { status: 200, body: await readSight(plane) }
}

/** Asks the zone over its session. */
async function sightOfZone(plane: ApiPlane, call: Call): Promise<Answer> {
  const { name = '' } = call.params
  requireAdmin(call.user, 'read the rows of a zone')
  await requireZone(plane, name)
  return { status: 200, body: await askZone(plane, name, 'sight', {}, call.untilClosed()) }
}

/** Registers what `zonemesh explain` reads. */
export function registerSight(route: Router): void {
  const about = (summary: string): About => ({
    group: 'Operation',
    summary,
    access: 'administrators',
    answers: {
      200: { what: 'the rows that decide configuration, and what proxies have accepted', shape: objectShape },
    },
  })
  route('GET', '/_sight', sight, about('Shows what `zonemesh explain` reads'))
  route('GET', '/zones/:name/_sight', sightOfZone, about('Asks a zone for what `zonemesh explain` reads'))
}

/** Removes sealed content: an explanation only needs to know that it exists. */
const shown = (spec: JsonObject): JsonObject =>
  // A row that cannot be parsed may have any value as its spec.
  typeof spec === 'object' && spec !== null && 'sealed' in spec ? { ...spec, sealed: '' } : spec
