import type { TagSet } from '../kinds/tags.ts'
import { hostnameContains } from '../match/hostnames.ts'
import type { GatewayPort } from './select.ts'

/** One virtual host: the listener tags whose policies apply, and the routes it has. */
export interface HostPlan {
  /** The hostname of the listener that it belongs to. */
  readonly listener: string
  readonly listenerTags: TagSet
  /**
   * Keys of routes, each sorted: those that name this very host first, then those of ever wider wildcards, and those of
   * any host last. A later group is asked only for what no earlier one matches.
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
 * Which hosts there are on a port and which routes each has. A host belongs to the most specific listener that stands for
 * it and has routes of that one only. The hostnames of a route narrow it down within its listener, and one without
 * hostnames is for every host of its listener, also for those that others name. The order of routes does not matter.
 * With `only`, what the listener of this hostname has: the others take what is theirs.
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
 * The hosts for which connections of a hostname are the wrong ones, because another listener of the port has them: clients
 * whose certificate covers both may come that way over HTTP/2 (RFC 9110, section 7.4). Those within the hostname by name, all
 * others as `*`.
 */
export function misdirectedHosts(listeners: readonly Listener[], hostname: string): readonly string[] {
  const others = listeners.map((one) => one.hostname).filter((one) => one !== hostname)
  if (others.length === 0) return []
  const within = others.filter((one) => hostnameContains(hostname, one)).sort()
  return hostname === '*' ? within : [...within, '*']
}

/** Each route stands where it is most specific. */
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

/** All hostnames that stand for a host, most specific first: `a.b.c`, `*.b.c`, `*.c`, `*`. */
function covering(host: string): readonly string[] {
  if (host === '*') return ['*']
  const labels = host.split('.')
  const wildcards = labels.slice(1).map((_label, at) => `*.${labels.slice(at + 1).join('.')}`)
  return [...new Set([host, ...wildcards, '*'])]
}
