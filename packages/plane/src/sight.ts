import type { AuthorityCertificateSpec } from '@zonemesh/core/kinds/internal.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import type { SightRules } from '@zonemesh/shared/sync/log/who-sees.ts'

/** Which rows travel where. A zone's certificate is for that zone alone. */
export const sightRules: SightRules = {
  travelOf: (kind) => findKind(kind)?.travel,
  // Rows of this kind hold what the authority's owner wrote.
  seenBy: new Map([['AuthorityCertificate', (row, zone) => (row.spec as AuthorityCertificateSpec).zone === zone]]),
}
