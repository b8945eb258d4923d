import { dataplane } from './kinds/dataplane.ts'
import {
  authorityCertificate,
  authorityKey,
  authorityRequest,
  authorityUse,
  availableService,
  gatewayCertificate,
  meshRoot,
  quarantine,
  refusal,
  secretKey,
  secretRequest,
  tokenKey,
  tokenRevocation,
  virtualAddress,
  virtualAddressNumber,
  virtualAddressReserve,
} from './kinds/internal.ts'
import type { Compiled, Kind } from './kinds/kind.ts'
import { mesh } from './kinds/mesh.ts'
import { meshGateway } from './kinds/mesh-gateway.ts'
import { meshGatewayRoute } from './kinds/mesh-gateway-route.ts'
import { globalSecret, secret } from './kinds/secret.ts'
import { zone } from './kinds/zone.ts'
import { zoneEgress } from './kinds/zone-egress.ts'
import { zoneIngress } from './kinds/zone-ingress.ts'
import { meshTrafficPermission } from './policies/mesh-traffic-permission/mesh-traffic-permission.ts'
import { retry } from './policies/retry/retry.ts'
import { timeout } from './policies/timeout/timeout.ts'
import { trafficPermission } from './policies/traffic-permission/traffic-permission.ts'

/**
 * All kinds. A new kind is one file and one line here. Policies apply in this order, and later ones override earlier
 * ones.
 */
export const kinds: readonly Kind[] = [
  mesh,
  zone,
  globalSecret,
  secret,
  zoneIngress,
  zoneEgress,
  dataplane,
  meshGateway,
  meshGatewayRoute,
  timeout,
  retry,
  trafficPermission,
  meshTrafficPermission,
  availableService,
  virtualAddress,
  virtualAddressNumber,
  virtualAddressReserve,
  meshRoot,
  authorityRequest,
  authorityCertificate,
  authorityKey,
  authorityUse,
  gatewayCertificate,
  secretKey,
  secretRequest,
  tokenKey,
  tokenRevocation,
  refusal,
  quarantine,
]

const kindByName = new Map(kinds.map((kind) => [kind.name, kind]))
const kindByPath = new Map(
  kinds
    .filter((kind) => !kind.internal)
    .flatMap((kind) => [kind.path, ...kind.pathAliases].map((path) => [path, kind])),
)

/** The kinds that users read and write. */
export const publicKinds: readonly Kind[] = kinds.filter((kind) => !kind.internal)

/** The kinds that the compiler reads. */
export const compiledKinds: readonly (Kind & { readonly compiled: Compiled<never> })[] = kinds.filter(isCompiled)

function isCompiled(kind: Kind): kind is Kind & { readonly compiled: Compiled<never> } {
  return kind.compiled !== undefined
}

/** The names of the kinds that an explanation reads. Their rows contain no unsealed key. */
export const explainedKinds: readonly string[] = kinds
  .filter((kind) => kind.compiled !== undefined || kind.explained)
  .map((kind) => kind.name)
  .sort()

export const findKind = (name: string): Kind | undefined => kindByName.get(name)
export const findKindByPath = (path: string): Kind | undefined => kindByPath.get(path)
