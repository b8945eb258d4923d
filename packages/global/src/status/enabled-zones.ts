import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, zone } from '@zonemesh/core/kinds/zone.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

/** The names of the enabled zones. A Zone that cannot be parsed counts as disabled. */
export async function enabledZones(store: Store): Promise<readonly string[]> {
  const rows = await store.scan({ kind: zone.name, origin: globalOrigin })
  return parsedRows(zone, rows)
    .filter(({ spec }) => isEnabled(spec))
    .map(({ key }) => key.name)
}
