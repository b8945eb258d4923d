import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { parseAs } from '@zonemesh/core/kinds/row.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { kri, shownLabels, shownName } from './names.ts'

/** A row in the form people and kumactl read, keys in Kuma's order. `spec` is the row's as it is shown. */
export function renderRow(kind: Kind, row: Row, ownOrigin: string, spec: JsonObject): JsonObject {
  const labels = shownLabels(kind, row, ownOrigin)
  const identifier = kri(kind, row, labels)
  return {
    type: kind.name,
    ...(kind.scope === 'mesh' ? { mesh: row.key.mesh } : {}),
    name: shownName(kind, row, ownOrigin),
    creationTime: new Date(row.stamp.createdAtMs).toISOString(),
    modificationTime: new Date(row.stamp.modifiedAtMs).toISOString(),
    ...(Object.keys(labels).length > 0
      ? { labels: Object.fromEntries(Object.entries(labels).sort(([a], [b]) => byCodeUnit(a, b))) }
      : {}),
    ...(identifier ? { kri: identifier } : {}),
    ...(kind.layout === 'nested' ? { spec } : spec),
  }
}

/**
 * A row as `shown` shows it. Only a row that can be parsed has a spec for people: of any other the name is shown, with what is wrong
 * with it, so that one row of a broken plane costs a reader nothing but that row.
 */
export async function renderParsed(
  kind: Kind,
  row: Row,
  ownOrigin: string,
  shown: (row: Row) => Promise<JsonObject>,
  withoutSpec: JsonObject = {},
): Promise<JsonObject> {
  const parsed = parseAs(kind, row)
  if (parsed.ok) return renderRow(kind, row, ownOrigin, await shown(row))
  const unparsed = parsed.error.map(({ field, reason }) => ({ field, reason }))
  return { ...renderRow({ ...kind, layout: 'flat' }, row, ownOrigin, withoutSpec), unparsed }
}

/** One space of indent and a final newline, as Kuma answers. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`
