import { displayNameLabel, zoneLabel } from '@zonemesh/core/kinds/common.ts'
import { canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import type { SeenVersion } from '@zonemesh/shared/guarantees/history.ts'
import type { Plane } from './plane.ts'

/** The kinds to compare. All users may read them, and they are synced: policies down, proxies up. */
const kinds = ['meshes', 'meshgateways', 'meshgatewayroutes', 'timeouts', 'traffic-permissions', 'dataplanes']

/** The rows of a plane by the name that they have on every plane, as listed by its API. Throws if a list fails. */
export async function readRows(plane: Plane): Promise<Map<string, SeenVersion>> {
  const rows = new Map<string, SeenVersion>()
  for (const kind of kinds) {
    const { status, body } = await plane.ask('GET', `/${kind}?size=1000`)
    if (status !== 200 || !Array.isArray(body['items']))
      throw new Error(`GET ${plane.address}/${kind}: expected a list, found status ${status}`)
    for (const item of body['items']) {
      const row = seenRow(Object(item))
      rows.set(row.key, row)
    }
  }
  return rows
}

/** Each plane shows different names and labels for a row; everything else is equal. */
function seenRow(item: Readonly<Record<string, unknown>>): SeenVersion {
  const { name, labels, creationTime: _created, modificationTime: _modified, kri: _identifier, ...content } = item
  const origin: unknown = Reflect.get(Object(labels), zoneLabel)
  return {
    key: [item['type'], item['mesh'] ?? '', origin ?? '', ownName(name, labels)].join('/'),
    origin: typeof origin === 'string' ? origin : 'global',
    state: 'live',
    incarnation: 0,
    originRevision: 0,
    content: shortHash(canonicalJson(content)),
  }
}

/** The name that a row has on its own plane. */
export const ownName = (name: unknown, labels: unknown): string =>
  String(Reflect.get(Object(labels), displayNameLabel) ?? name)

/** Compares the rows of one origin: rows that a plane lacks or has with another content, and surplus rows. */
export function compareRows(
  origin: string,
  expected: ReadonlyMap<string, SeenVersion>,
  found: ReadonlyMap<string, SeenVersion>,
) {
  const of = (rows: ReadonlyMap<string, SeenVersion>) => [...rows.values()].filter((row) => row.origin === origin)
  return {
    missing: of(expected)
      .filter(({ key, content }) => found.get(key)?.content !== content)
      .map(({ key }) => key),
    surplus: of(found)
      .filter(({ key }) => !expected.has(key))
      .map(({ key }) => key),
  }
}
