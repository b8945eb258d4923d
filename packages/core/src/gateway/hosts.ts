import { hostnameContains, hostnamesMatch } from '../match/hostnames.ts'
import type { GatewayPort } from './select.ts'

/** One virtual host: the listener tags whose policies apply, and the routes it has, sorted by key. */
export interface HostPlan {
  readonly listenerTags: string
  readonly routes: readonly string[]
}

/** A route that is bound to a listener, with its hostnames. */
export interface BoundRoute {
  readonly key: string
  readonly hostnames: readonly string[]
}

type Listener = GatewayPort['hosts'][number]

/**
 * Which hosts there are on a port and which routes each has. On the listener for any host, a route's hostnames make hosts
 * of their own; each then gets every route that stands for it, so the order of routes does not matter. A listener with a
 * hostname takes the routes that have hosts in common with it.
 */
export function planHosts(
  listeners: readonly Listener[],
  boundTo: (listener: Listener) => readonly BoundRoute[],
): ReadonlyMap<string, HostPlan> {
  const plans = new Map<string, { readonly listenerTags: string; readonly routes: Set<string> }>()
  for (const { hostname, tagsText } of listeners) plans.set(hostname, { listenerTags: tagsText, routes: new Set() })
  const any = listeners.find((listener) => listener.hostname === '*')
  const onAny = any ? boundTo(any) : []
  for (const name of onAny.flatMap((route) => route.hostnames)) {
    if (any && !plans.has(name)) plans.set(name, { listenerTags: any.tagsText, routes: new Set() })
  }
  const hosts = [...plans.keys()]
  const add = (host: string, key: string) => void plans.get(host)?.routes.add(key)
  for (const { key, hostnames } of onAny) {
    if (hostnames.length === 0) add('*', key)
    for (const name of hostnames) {
      // Only wildcards stand for more hosts than their own: most routes need no look at the others.
      if (!name.startsWith('*')) add(name, key)
      else for (const host of hosts) if (hostnameContains(name, host)) add(host, key)
    }
  }
  for (const listener of listeners) {
    if (listener === any) continue
    for (const { key, hostnames } of boundTo(listener)) {
      if (hostnames.length === 0 || hostnames.some((name) => hostnamesMatch(name, listener.hostname)))
        add(listener.hostname, key)
    }
  }
  return new Map(
    [...plans].map(([host, { listenerTags, routes }]) => [host, { listenerTags, routes: [...routes].sort() }]),
  )
}
