import { byCodeUnit, canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import { because, becauseOfAll, type Decided } from '../kinds/because.ts'
import { protocolTag, serviceTag } from '../kinds/common.ts'
import { type MeshName, meshName } from '../kinds/identities.ts'
import { createInterning, type Interned } from '../kinds/interned.ts'
import { meshGatewayRoute } from '../kinds/mesh-gateway-route.ts'
import { backendService, type RouteBackend, type RouteRule } from '../kinds/mesh-gateway-route-spec.ts'
import { ranges } from '../kinds/ranges.ts'
import { selects, serviceOf, type TagSet } from '../kinds/tags.ts'
import { type Connections, chooseForRoute } from '../match/connections.ts'
import { compareHostnames } from '../match/hostnames.ts'
import type { Exclusions } from '../model/exclusions.ts'
import type { ForwardAction, RouteModel, RouteTableModel, VirtualHostModel } from '../model/model.ts'
import { mergeRetries } from '../policies/retry/retries.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { defaultTimeouts, mergeTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'
import { unresolvedBackend, type WeightedBackend, weightBackends } from './backends.ts'
import { misdirectedHosts, planHosts } from './hosts.ts'
import { compareEntries, type RouteEntry } from './order.ts'
import { type ListenerOrigin, redirectOf } from './redirects.ts'
import { headerChangesOf, hostOf, matchesOf, matchesThatCut, mirrorsOf, pathChangeOf, rewriteOf } from './rules.ts'
import type { GatewayPort, GatewaySelection, PortPlace } from './select.ts'

/** Destinations by cluster name, with the listener tags whose policies apply. */
export interface Destination {
  readonly cluster: string
  readonly tags: TagSet
  readonly listener: TagSet
}

interface RoutePart {
  readonly entries: readonly RouteEntry[]
  readonly destinations: readonly Destination[]
}

interface ServedHost {
  readonly model: VirtualHostModel
  readonly destinations: readonly Destination[]
  readonly contributions: readonly (readonly [key: string, hash: string])[]
}

type Origin = ListenerOrigin & Interned

const nothing: RoutePart = { entries: [], destinations: [] }

/**
 * From MeshGatewayRoutes to the route table of a gateway's port. Replicas of a gateway share all of it. `prove` throws on
 * a route that cannot be said to Envoy at all.
 */
export function createGatewayRoutes(
  units: Units,
  view: View,
  selection: GatewaySelection,
  connections: Connections,
  exclusions: Exclusions,
  prove: (route: RouteModel) => unknown,
) {
  /** What binds a route to hosts; other fields of it wake nobody who reads this. */
  const binding = units.family('route binding', (key: string) => {
    const spec = view.row(meshGatewayRoute, key)?.spec
    const { http, tcp } = spec?.conf ?? {}
    if (!spec || !(http || tcp)) return undefined
    const selectors = spec.selectors.map(({ match = {} }) => match)
    return { protocol: http ? 'http' : 'tcp', selectors, hostnames: [...(http?.hostnames ?? [])] }
  })

  /** The routes of a protocol (`http` or `tcp`) that are bound to a listener with these tags. */
  const attached = units.family(
    'attached routes',
    (mesh: MeshName, listener: TagSet, protocol: 'http' | 'tcp'): readonly string[] => {
      const keys = [serviceOf(listener), '*'].flatMap((service) =>
        view.range(ranges.selecting('MeshGatewayRoute', mesh, service)),
      )
      const isBound = (key: string) => {
        const found = binding(key)
        return found?.protocol === protocol && found.selectors.some((match) => selects(match, listener.tags))
      }
      return [...new Set(keys)].filter((key) => units.attempt(key, () => isBound(key))).sort()
    },
  )

  /** The hosts of one table: all of a port, or for HTTPS those of one hostname of it. */
  const plan = units.family('hosts', (place: PortPlace, hostname: string | undefined) => {
    const boundTo = ({ tags }: { readonly tags: TagSet }) =>
      attached(place.mesh, tags, 'http').map((key) => ({ key, hostnames: binding(key)?.hostnames ?? [] }))
    return planHosts(portAt(place)?.hosts ?? [], boundTo, hostname)
  })

  const portAt = ({ gateway, own, port }: PortPlace): GatewayPort | undefined =>
    portOf(selection.ports(gateway, own), port)

  const hostPlan = units.family('host', (place: PortPlace, hostname: string | undefined, host: string) =>
    plan(place, hostname).get(host),
  )

  const timeouts = units.family('gateway timeouts', (policy: string | undefined) => ({
    ...mergeTimeouts(policy === undefined ? undefined : view.row(timeout, policy)?.spec, defaultTimeouts.gateway),
    because: because(policy),
  }))
  const retries = units.family('gateway retries', (policy: string | undefined) => ({
    ...mergeRetries(policy === undefined ? undefined : view.row(retry, policy)?.spec),
    because: because(policy),
  }))

  /** The policy in force for a route that has these destinations. */
  function policyOf(
    kind: string,
    mesh: MeshName,
    listener: TagSet,
    destinations: readonly TagSet[],
  ): string | undefined {
    const profile = connections.profile(kind, mesh, [listener])
    return chooseForRoute(destinations.flatMap((tags) => connections.chosen(profile, tags) ?? []))?.key
  }

  function ruleEntries(
    key: string,
    rule: RouteRule,
    index: number,
    listener: TagSet,
    origin: ListenerOrigin,
  ): RoutePart {
    const row = view.row(meshGatewayRoute, key)
    const redirect = rule.filters?.find((filter) => filter.redirect)?.redirect
    if (!row || (!redirect && !rule.backends?.length)) return nothing
    const forward = redirect ? undefined : forwardOf(meshName(row.key.mesh), rule, listener)
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

  /** Where a rule sends requests and copies of them. */
  function forwardOf(
    mesh: MeshName,
    rule: RouteRule,
    listener: TagSet,
  ): Decided & { readonly action: ForwardAction; readonly destinations: readonly Destination[] } {
    const backends = weightBackends(rule.backends ?? [], listener, view.tagSet)
    const tags = backends.map((one) => one.tags)
    const limits = timeouts(policyOf('Timeout', mesh, listener, tags))
    const again = retries(policyOf('Retry', mesh, listener, tags))
    const tried = tags.some((one) => one.tags[protocolTag] === 'grpc') ? again.grpc : again.http
    const host = hostOf(rule)
    const mirrors = mirrorsOf(rule).flatMap(({ backend, perMillion }) =>
      weightBackends([backend], listener, view.tagSet)
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

  const partHash = units.family('route part hash', (key: string): string =>
    shortHash(canonicalJson(view.row(meshGatewayRoute, key)?.spec.conf ?? {})),
  )

  /**
   * All that one route adds to the hosts of one listener. A route that throws adds nothing at all.
   */
  const part = units.family('route part', (key: string, listener: TagSet, origin: Origin): RoutePart => {
    if (exclusions.has(key, partHash(key))) {
      units.note(key, 'left out: Envoy refused the route table with it')
      return nothing
    }
    return (
      units.attempt(key, () => {
        const spec = view.row(meshGatewayRoute, key)?.spec
        const rules = spec?.conf?.http?.rules ?? []
        for (const backend of rules.flatMap(backendsOf)) {
          if (backendService(backend) === '') throw new Error(`a backend has no tag "${serviceTag}"`)
        }
        const parts = rules.map((rule, index) => ruleEntries(key, rule, index, listener, origin))
        for (const { route } of parts.flatMap((one) => one.entries)) prove(route)
        return {
          entries: parts.flatMap((one) => one.entries),
          destinations: parts.flatMap((one) => one.destinations),
        }
      }) ?? nothing
    )
  })

  const origins = createInterning(canonicalJson, (one, origin: ListenerOrigin): Origin => ({ ...one, ...origin }))

  const virtualHost = units.family(
    'virtual host',
    (place: PortPlace, hostname: string | undefined, host: string): ServedHost | undefined => {
      const found = hostPlan(place, hostname, host)
      const port = portAt(place)
      // It is gone, and so will be what reads this.
      if (!found || !port) return undefined
      const { groups, listener, listenerTags } = found
      const origin = origins(originOf(port))
      const partsByGroup = groups.map((keys) => keys.map((key) => ({ key, part: part(key, listenerTags, origin) })))
      const parts = partsByGroup.flat()
      const entries = partsByGroup.flatMap((group) => group.flatMap((one) => one.part.entries).sort(compareEntries))
      const contributions = parts
        .filter((one) => one.part.entries.length > 0)
        .map(({ key }) => [key, partHash(key)] as const)
      const model = {
        name: host,
        domains: [host],
        listener,
        because: because(place.gateway, ...contributions.map(([key]) => key)),
        routes: entries.map((entry) => entry.route),
      }
      return {
        model: hostname === undefined && !port.crossMesh ? model : { ...model, requireTls: true },
        destinations: parts.flatMap((one) => one.part.destinations),
        contributions,
      }
    },
  )

  const hosts = units.family('served hosts', (place: PortPlace, hostname: string | undefined): readonly string[] =>
    [...plan(place, hostname).keys()].sort(compareHostnames),
  )

  return {
    timeouts,
    retries,
    policyOf,
    attached,
    partHash,
    /** The route table of an HTTP port (no hostname), or of one hostname of an HTTPS port. */
    table: units.family('route table', (place: PortPlace, hostname: string | undefined): RouteTableModel => {
      const { gateway } = place
      const served = hosts(place, hostname).flatMap((host) => virtualHost(place, hostname, host) ?? [])
      const found = portAt(place)
      const others = hostname === undefined ? [] : misdirectedHosts(found?.hosts ?? [], hostname)
      return {
        name: `${found?.name ?? ''}:${hostname ?? '*'}`,
        because: [gateway],
        hosts: [
          ...served.map((host) => host.model),
          ...(others.length > 0
            ? [{ name: 'misdirected', domains: others, routes: [], misdirected: true, because: [gateway] }]
            : []),
        ],
        removeTagsHeader: true,
        ignorePort: true,
        contributions: new Map(served.flatMap((host) => host.contributions).sort(([a], [b]) => byCodeUnit(a, b))),
      }
    }),
    /** The hosts of such a table. */
    hosts,
    /** The clusters that one host of it leads to. */
    destinations: (place: PortPlace, hostname: string | undefined, host: string): readonly Destination[] =>
      virtualHost(place, hostname, host)?.destinations ?? [],
  }
}
export type GatewayRoutes = ReturnType<typeof createGatewayRoutes>

export const portOf = (ports: readonly GatewayPort[], port: number): GatewayPort | undefined =>
  ports.find((one) => one.port === port)

/** How clients reach a port. One for other meshes is HTTP for them, though TLS between the proxies. */
const originOf = ({ protocol, crossMesh, port }: GatewayPort): ListenerOrigin => ({
  scheme: protocol === 'HTTPS' ? 'https' : 'http',
  port,
  saysScheme: crossMesh,
})

const isResolved = ({ tags }: WeightedBackend): boolean => serviceOf(tags) !== unresolvedBackend

/** All that a rule sends requests or copies of them to. */
const backendsOf = (rule: RouteRule): readonly RouteBackend[] => [
  ...(rule.backends ?? []),
  ...(rule.filters ?? []).flatMap((filter) => filter.mirror?.backend ?? []),
]
