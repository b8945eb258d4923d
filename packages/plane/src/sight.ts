import type { AuthorityCertificateSpec, GatewayCertificateSpec } from '@zonemesh/core/kinds/internal.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import type { SightRules } from '@zonemesh/shared/sync/log/who-sees.ts'

/** Which rows travel where. A zone's certificate is for that zone alone. */
export const sightRules: SightRules = {
  travelOf: (kind) => findKind(kind)?.travel,
  // Rows of these kinds hold what the owner of authorities and secrets wrote.
  seenBy: new Map([
    ['AuthorityCertificate', (row, zone) => (row.spec as AuthorityCertificateSpec).zone === zone],
    ['GatewayCertificate', (row, zone) => (row.spec as GatewayCertificateSpec).zone === zone],
  ]),
}
