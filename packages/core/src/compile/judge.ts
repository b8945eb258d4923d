import { messageOf } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { z } from 'zod'
import { dataplane } from '../kinds/dataplane.ts'
import { availableService, gatewayCertificate, virtualAddress } from '../kinds/internal.ts'
import { fieldPath, type Kind } from '../kinds/kind.ts'
import { mesh } from '../kinds/mesh.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { zone } from '../kinds/zone.ts'
import { zoneEgress } from '../kinds/zone-egress.ts'
import { zoneIngress } from '../kinds/zone-ingress.ts'
import { meshTrafficPermission } from '../policies/mesh-traffic-permission/mesh-traffic-permission.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { trafficPermission } from '../policies/traffic-permission/traffic-permission.ts'

/** The kinds that something is compiled from. */
export const compiledKinds: ReadonlyMap<string, Kind> = new Map(
  [
    mesh,
    zone,
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
    gatewayCertificate,
  ].map((kind) => [kind.name, kind]),
)

type Issue = z.core.$ZodIssue

/**
 * Why a row cannot be compiled; undefined of a sound one, and of one that nothing is compiled from. Rows of other planes
 * are not admitted here, so what reads them must not trust them. Tolerant as a reader has to be: fields that a newer
 * plane knows are no fault, and what the schema cannot say is left to those who use it.
 */
export function judge({ key, spec }: Row): string | undefined {
  const kind = compiledKinds.get(key.kind)
  if (!kind) return undefined
  const badPart = judgePart('name', key.name) ?? (kind.scope === 'mesh' ? judgePart('mesh', key.mesh) : undefined)
  if (badPart !== undefined) return badPart
  try {
    const issue = kind.schema.safeParse(spec).error?.issues.find((one) => !isTolerable(one))
    if (!issue) return undefined
    const field = fieldPath('', issue.path)
    return `${field === '' ? 'spec' : shortened(field)}: ${shortened(issue.message.replace(/^Invalid (input|option): /, ''))}`
  } catch (thrown) {
    // Nested so deeply that walking it exhausts the stack.
    return `spec: ${messageOf(thrown)}`
  }
}

/** Keys have a text form, in which "/" stands between the parts. */
function judgePart(field: string, part: string): string | undefined {
  if (part === '') return `${field}: cannot be empty`
  return part.includes('/') ? `${field}: expected no "/", found "${shortened(part)}"` : undefined
}

const isTolerable = (issue: Issue): boolean =>
  issue.code === 'unrecognized_keys' ||
  (issue.code === 'invalid_union' && issue.errors.some((branch) => branch.length > 0 && branch.every(isTolerable)))

const charactersMax = 200

/** Reasons travel with every bookmark; what a stranger wrote may be a megabyte. */
const shortened = (text: string): string => (text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}…`)
