import { composeAvailableServices } from '@zonemesh/core/edge/announcements.ts'
import { withoutInlineKeys } from '@zonemesh/core/kinds/inline-keys.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { isZoneProxy } from '@zonemesh/core/kinds/proxies.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretData } from '../authority/secret.ts'

/**
 * The spec as shown to users: secrets are opened (the routes require an admin), and services of a zone are composed.
 */
export async function shownSpec(
  deps: { readonly store: Store; readonly sealer: Sealer; readonly origin: string },
  kind: Kind,
  row: Row,
): Promise<JsonObject> {
  if (kind.name === 'Secret' || kind.name === 'GlobalSecret') return { data: secretData(deps.sealer, row) }
  // A row of an older global may still contain keys.
  if (kind.name === 'Mesh' || kind.name === 'MeshGateway')
    return withoutInlineKeys(kind.name, kind.name === 'Mesh' ? row.key.name : row.key.mesh, row.spec).spec
  // A zone does not show its own name on its zone proxies.
  const { zone: _home, ...atHome } = row.spec
  const spec = isZoneProxy(kind.name) && row.key.origin === deps.origin ? atHome : row.spec
  if (kind.name !== 'ZoneIngress') return spec
  const rows = await deps.store.scan({ kind: 'AvailableService', origin: row.key.origin })
  const availableServices = composeAvailableServices(rows).map(({ tags, instances, mesh }) => ({
    tags,
    instances,
    mesh,
  }))
  return { ...spec, ...(availableServices.length > 0 ? { availableServices } : {}) }
}
