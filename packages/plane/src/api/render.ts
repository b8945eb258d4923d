import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { parseAs } from '@zonemesh/core/kinds/row.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { kri, shownLabels, shownName } from './names.ts'

/** A row in the shape that users and kumactl read, with its keys in Kuma's order. `spec` is the shown spec. */
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
 * A row with the spec from `shown`. A row that cannot be parsed is shown by its name with its faults and without its
 * spec, so that a bad row does not fail the whole list.
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

/** JSON with one space of indent and a final newline, as in Kuma. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`
