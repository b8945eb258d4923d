import { authorityCertificate, meshRoot } from '@zonemesh/core/kinds/internal.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import type { ServerTls } from '@zonemesh/plane/authority/server-tls.ts'
import { startOf } from '@zonemesh/plane/authority/x509.ts'
import { type Expiring, intermediate, ofListeners, ofPlane, rootAuthority } from '@zonemesh/plane/status/expiry.ts'
import type { TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { enabledZones } from './enabled-zones.ts'

/**
 * Lists what expires on a global: its own certificates, the tokens of connected zones, roots, and the intermediates
 * of zones.
 */
export async function expiringOf(store: Store, tls: ServerTls, watch: TokenWatch): Promise<Expiring[]> {
  const origin = globalOrigin
  const enabled = new Set(await enabledZones(store))
  const meshes = new Set((await store.scan({ kind: 'Mesh', origin })).map((row) => row.key.name))
  const roots = parsedRows(meshRoot, await store.scan({ kind: 'MeshRoot', origin })).filter((row) =>
    meshes.has(row.key.mesh),
  )
  const certificates = parsedRows(authorityCertificate, await store.scan({ kind: 'AuthorityCertificate', origin }))
  return [
    ...ofPlane(tls, watch, 'the global'),
    ...(await ofListeners(store)),
    ...roots.map((row) => rootAuthority(row.key.mesh, row.spec.certificate)),
    ...certificates
      .filter((row) => meshes.has(row.key.mesh) && enabled.has(row.key.name))
      .map((row) => intermediate(row.key.mesh, row.key.name, row.spec.notAfterMs, startOf(row.spec.certificate))),
  ]
}
