import { canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import { because, becauseOfAll, type Decided } from '../kinds/because.ts'
import { protocolTag, serviceTag } from '../kinds/common.ts'
import { type MeshName, meshName } from '../kinds/identities.ts'
import type { Interned } from '../kinds/interned.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { backendService, type RouteBackend, type RouteRule } from '../kinds/mesh-gateway-route-spec.ts'
import { serviceOf, type TagSet } from '../kinds/tags.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { ForwardAction, RouteModel } from '../model/model.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { unresolvedBackend, type WeightedBackend, weightBackends } from './backends.ts'
import type { RouteEntry } from './order.ts'
import { type ListenerOrigin, redirectOf } from './redirects.ts'
import type { RoutePolicies } from './route-policies.ts'
import { headerChangesOf, hostOf, matchesOf, matchesThatCut, mirrorsOf, pathChangeOf, rewriteOf } from './rules.ts'

/** A destination with its cluster name, and the listener tags whose policies apply. */
export interface Destination {
  readonly cluster: string
  readonly tags: TagSet
  readonly listener: TagSet
}

/** The entries and destinations that a route adds to the hosts of a listener. */
interface RoutePart {
  readonly entries: readonly RouteEntry[]
  readonly destinations: readonly Destination[]
}

export type Origin = ListenerOrigin & Interned

const nothing: RoutePart = { entries: [], destinations: [] }

interface Deps {
  readonly policies: RoutePolicies
  readonly tagSet: View['tagSet']
}

/** Builds routes from the rules of a MeshGatewayRoute. `prove` throws if a route cannot be encoded for Envoy. */
export function createRouteParts(
  units: Units,
  view: View,
  policies: RoutePolicies,
  exclusions: Exclusions,
  prove: (route: RouteModel) => unknown,
) {
  const deps: Deps = { policies, tagSet: view.tagSet }

  const partHash = units.family('route part hash', (key: string): string =>
    shortHash(canonicalJson(view.row(meshGatewayRoute, key)?.spec.conf ?? {})),
  )

  /** Everything that one route adds to the hosts of one listener. A route that throws adds nothing. */
  const part = units.family('route part', (key: string, listener: TagSet, origin: Origin): RoutePart => {
    if (exclusions.has(key, partHash(key))) {
      units.note(key, 'left out: Envoy refused the route table with it')
      return nothing
    }
    return (
      units.attempt(key, () => {
        const row = view.row(meshGatewayRoute, key)
        if (!row) return nothing
        const rules = row.spec.conf?.http?.rules ?? []
        for (const backend of rules.flatMap(backendsOf)) {
          if (backendService(backend) === '') throw new Error(`a backend has no tag "${serviceTag}"`)
        }
        const parts = rules.map((rule, index) => ruleEntries(deps, row, rule, index, listener, origin))
        for (const { route } of parts.flatMap((one) => one.entries)) prove(route)
        return {
          entries: parts.flatMap((one) => one.entries),
          destinations: parts.flatMap((one) => one.destinations),
        }
      }) ?? nothing
    )
  })

  return { part, partHash }
}

/** Everything that the rule at position `index` adds. */
function ruleEntries(
  { policies, tagSet }: Deps,
  row: Pick<Row, 'key' | 'stamp'>,
  rule: RouteRule,
  index: number,
  listener: TagSet,
  origin: ListenerOrigin,
): RoutePart {
  const key = keyText(row.key)
  const redirect = rule.filters?.find((filter) => filter.redirect)?.redirect
  if (!redirect && !rule.backends?.length) return nothing
  const forward = redirect ? undefined : forwardOf({ policies, tagSet }, meshName(row.key.mesh), rule, listener)
  const change = redirect ? (redirect.path ?? {}) : rewriteOf(rule)
  const matches = change.replacePrefixMatch === undefined ? matchesOf : matchesThatCut
  const requestHeaders = headerChangesOf((rule.filters ?? []).map((filter) => filter.requestHeader))
  const responseHeaders = headerChangesOf((rule.filters ?? []).map((filter) => filter.responseHeader))
  const decided = because(key, ...(forward?.because ?? []))
  const entries = (rule.matches ?? []).flatMap((match, position) =>
    matches(match).map(({ isTwin, ...found }): RouteEntry => {
      const path = pathChangeOf(change, found.path)
      const action = forward ? { ...forward.action, ...(path ? { path } : {}) } : undefined
      const route = {
        ...found,
        because: decided,
        rule: index,
        action: action ?? redirectOf(redirect ?? {}, origin, found.path),
        ...(requestHeaders ? { requestHeaders } : {}),
        ...(responseHeaders ? { responseHeaders } : {}),
      }
      return {
        route,
        isTwin,
        createdAtMs: row.stamp.createdAtMs,
        source: key,
        rule: index,
        match: position,
      }
    }),
  )
  return entries.length > 0 ? { entries, destinations: forward?.destinations ?? [] } : nothing
}

/** The destinations of a rule's requests and of their copies. */
function forwardOf(
  { policies, tagSet }: Deps,
  mesh: MeshName,
  rule: RouteRule,
  listener: TagSet,
): Decided & { readonly action: ForwardAction; readonly destinations: readonly Destination[] } {
  const { timeouts, retries, policyOf } = policies
  const backends = weightBackends(rule.backends ?? [], listener, tagSet)
  const tags = backends.map((one) => one.tags)
  const limits = timeouts(policyOf('Timeout', mesh, listener, tags))
  const again = retries(policyOf('Retry', mesh, listener, tags))
  const tried = tags.some((one) => one.tags[protocolTag] === 'grpc') ? again.grpc : again.http
  const host = hostOf(rule)
  const mirrors = mirrorsOf(rule).flatMap(({ backend, perMillion }) =>
    weightBackends([backend], listener, tagSet)
      .filter(isResolved)
      .map((one) => ({ ...one, perMillion })),
  )
  return {
    because: becauseOfAll([limits, again]),
    action: {
      type: 'forward',
      clusters: backends.map(({ cluster, weight }) => ({ name: cluster, weight })),
      weighted: true,
      requestMs: limits.requestMs,
      idleMs: limits.streamIdleMs,
      ...(tried ? { retries: tried } : {}),
      ...(host === undefined ? {} : { host }),
      ...(mirrors.length > 0 ? { mirrors: mirrors.map(({ cluster, perMillion }) => ({ cluster, perMillion })) } : {}),
    },
    destinations: [...backends.filter(isResolved), ...mirrors].map((one) => ({
      cluster: one.cluster,
      tags: one.tags,
      listener,
    })),
  }
}

const isResolved = ({ tags }: WeightedBackend): boolean => serviceOf(tags) !== unresolvedBackend

/** All backends of a rule, including those of mirrors. */
const backendsOf = (rule: RouteRule): readonly RouteBackend[] => [
  ...(rule.backends ?? []),
  ...(rule.filters ?? []).flatMap((filter) => filter.mirror?.backend ?? []),
]
