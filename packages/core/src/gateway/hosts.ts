import type { TagSet } from '../kinds/tags.ts'
import { hostnameContains } from '../match/hostnames.ts'
import type { GatewayPort } from './select.ts'

/** One virtual host: its routes, and the listener tags whose policies apply. */
export interface HostPlan {
  /** The hostname of the listener that owns this host. */
  readonly listener: string
  readonly listenerTags: TagSet
  /**
   * Keys of routes in groups, each sorted. The first group names exactly this host, the next groups name wider and
   * wider wildcards, and the last group applies to any host. A group is used only for requests that no earlier group
   * matches.
   */
  readonly groups: readonly (readonly string[])[]
}

/** A route that is bound to a listener, with its hostnames. */
export interface BoundRoute {
  readonly key: string
  readonly hostnames: readonly string[]
}

type Listener = Pick<GatewayPort['hosts'][number], 'hostname' | 'tags'>

/**
 * The hosts of a port and the routes of each host. A host belongs to the most specific listener that covers it, and
 * only routes of that listener apply. The hostnames of a route narrow it within its listener. A route without hostnames
 * applies to every host of its listener, including hosts that other routes name. The order of routes does not matter.
 * With `only`, the result contains only the hosts of the listener with this hostname.
 */
export function planHosts(
  listeners: readonly Listener[],
  boundTo: (listener: Listener) => readonly BoundRoute[],
  only?: string,
): ReadonlyMap<string, HostPlan> {
  const listenerHostnames = new Set(listeners.map((one) => one.hostname))
  const owner = (host: string) => covering(host).find((name) => listenerHostnames.has(name))
  const plans = new Map<string, HostPlan>()
  for (const listener of listeners.filter(({ hostname }) => only === undefined || hostname === only)) {
    const keysByHostname = new Map<string, string[]>()
    for (const { key, hostnames } of boundTo(listener)) {
      for (const name of hostnames.length > 0 ? hostnames : ['*']) {
        const keys = keysByHostname.get(name)
        if (keys) keys.push(key)
        else keysByHostname.set(name, [key])
      }
    }
    const named = [...keysByHostname.keys()].filter(
      (name) => hostnameContains(listener.hostname, name) && owner(name) === listener.hostname,
    )
    for (const host of new Set([listener.hostname, ...named])) {
      plans.set(host, {
        listener: listener.hostname,
        listenerTags: listener.tags,
        groups: groupsOf(host, keysByHostname),
      })
    }
  }
  return plans
}

/**
 * The hosts that connections for a hostname must not serve, because another listener of the port owns them. A client
 * whose certificate covers both hosts may reuse a connection over HTTP/2 (RFC 9110, section 7.4). Hosts within the
 * hostname are listed by name, all others as `*`.
 */
export function misdirectedHosts(listeners: readonly Listener[], hostname: string): readonly string[] {
  const others = listeners.map((one) => one.hostname).filter((one) => one !== hostname)
  if (others.length === 0) return []
  const within = others.filter((one) => hostnameContains(hostname, one)).sort()
  return hostname === '*' ? within : [...within, '*']
}

/** Puts each route into its most specific group. */
function groupsOf(
  host: string,
  keysByHostname: ReadonlyMap<string, readonly string[]>,
): readonly (readonly string[])[] {
  const seen = new Set<string>()
  return covering(host).flatMap((name) => {
    const keys = [...new Set(keysByHostname.get(name))].filter((key) => !seen.has(key)).sort()
    for (const key of keys) seen.add(key)
    return keys.length > 0 ? [keys] : []
  })
}

/** All hostnames that cover a host, most specific first: `a.b.c`, `*.b.c`, `*.c`, `*`. */
function covering(host: string): readonly string[] {
  if (host === '*') return ['*']
  const labels = host.split('.')
  const wildcards = labels.slice(1).map((_label, at) => `*.${labels.slice(at + 1).join('.')}`)
  return [...new Set([host, ...wildcards, '*'])]
}
