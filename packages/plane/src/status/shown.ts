import type { AvailableServiceSpec } from '@zonemesh/core/kinds/internal.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { byCodeUnit, canonicalJson, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretData } from '../authority/secret.ts'

/** The spec as people see it: secrets opened (routes ask for an admin), services of a zone composed from their rows. */
export async function shownSpec(
  deps: { readonly store: Store; readonly sealer: Sealer },
  kind: Kind,
  row: Row,
): Promise<JsonObject> {
  if (kind.name === 'Secret' || kind.name === 'GlobalSecret') return { data: secretData(deps.sealer, row) }
  if (kind.name !== 'ZoneIngress') return row.spec
  const rows = await deps.store.scan({ kind: 'AvailableService', origin: row.key.origin })
  const availableServices = rows
    .map((one) => {
      // Rows of this kind hold what the zone announced.
      const { tags, instances } = one.spec as AvailableServiceSpec
      return { tags, instances, mesh: one.key.mesh }
    })
    .sort((a, b) => byCodeUnit(a.mesh, b.mesh) || byCodeUnit(canonicalJson(a.tags), canonicalJson(b.tags)))
  return { ...row.spec, ...(availableServices.length > 0 ? { availableServices } : {}) }
}

/** Fields of stored resources that are not served yet, one sentence each. */
export async function unservedFields(store: Store): Promise<JsonObject[]> {
  const found: JsonObject[] = []
  for (const kind of publicKinds) {
    for (const row of await store.scan({ kind: kind.name })) {
      // The kind says what its spec is; the row was admitted or comes from a plane that did.
      for (const warning of kind.unserved(row.spec as never)) {
        found.push({ kind: kind.name, mesh: row.key.mesh, name: row.key.name, origin: row.key.origin, warning })
      }
    }
  }
  return found
}
