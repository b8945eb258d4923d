import { authorityCertificate } from '@zonemesh/core/kinds/internal.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import type { ServerTls } from '@zonemesh/plane/authority/server-tls.ts'
import { startOf } from '@zonemesh/plane/authority/x509.ts'
import {
  byHand,
  type Expiring,
  intermediate,
  ofListeners,
  ofPlane,
  rootAuthority,
  workload,
} from '@zonemesh/plane/status/expiry.ts'
import { tokenEndsAtMs } from '@zonemesh/plane/tokens/tokens.ts'
import type { TokenWatch } from '@zonemesh/plane/tokens/watch.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Secrets } from '../secrets/secrets.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly tls: ServerTls
  readonly watch: TokenWatch
  readonly secrets: Pick<Secrets, 'identities'>
  /** The token with which this zone joins its global. */
  readonly token: () => string | undefined
}

/**
 * Lists what expires in a zone: its own certificates and token, the certificates of its proxies, and their
 * authorities.
 */
export async function expiringOf({ store, zone, tls, watch, secrets, token }: Deps): Promise<Expiring[]> {
  const meshes = new Set((await store.scan({ kind: 'Mesh' })).map((row) => row.key.name))
  const rows = parsedRows(authorityCertificate, await store.scan({ kind: 'AuthorityCertificate' })).filter(
    ({ key }) => key.name === zone && meshes.has(key.mesh),
  )
  const tokenEnd = tokenEndsAtMs(token() ?? '')
  return [
    ...ofPlane(tls, watch, `zone ${zone}`),
    ...(tokenEnd === undefined
      ? []
      : [
          byHand('zone token', `${zone} (this zone joins with it)`, tokenEnd, {
            remedy: `restart the zone with a new join string of \`zonemesh token zone ${zone}\``,
          }),
        ]),
    ...rows.flatMap(({ key, spec }) => [
      intermediate(key.mesh, zone, spec.notAfterMs, startOf(spec.certificate)),
      rootAuthority(key.mesh, spec.roots),
    ]),
    ...(await ofListeners(store, zone)),
    ...secrets.identities().map(({ who, identity }) => workload(who, identity)),
  ]
}
