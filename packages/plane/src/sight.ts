import { authorityCertificate, gatewayCertificate } from '@zonemesh/core/kinds/internal.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import { findKind } from '@zonemesh/core/registry.ts'
import type { SightRules } from '@zonemesh/shared/sync/log/who-sees.ts'

/** Which rows are synced to which planes. A certificate that is issued to a zone is synced to that zone only. */
export const sightRules: SightRules = {
  travelOf: (kind) => findKind(kind)?.travel,
  seenBy: new Map([
    ['AuthorityCertificate', (row, zone) => specOf(authorityCertificate, row)?.zone === zone],
    ['GatewayCertificate', (row, zone) => specOf(gatewayCertificate, row)?.zone === zone],
  ]),
}
