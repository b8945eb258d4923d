import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import type { DeltaAnswer } from '@zonemesh/shared/delta/delta.ts'
import { type AdsEffect, type AdsState, sideOf, targetOf } from './ads-state.ts'

/**
 * X17: a cluster is removed last. First, no listener or route table that the proxy has, or is being sent, names it.
 * Then the removal waits for connections and requests that still use the old ones.
 */
export function leavingClusters(state: AdsState): {
  readonly due: readonly string[]
  readonly timers: readonly AdsEffect[]
} {
  const clusters = sideOf(state, typeUrls.cluster)
  const target = targetOf(state, typeUrls.cluster)
  for (const name of state.leaving.keys()) {
    if (target.has(name) || !clusters.peer.has(name)) state.leaving.delete(name)
  }
  for (const name of state.droppedBy.keys()) if (target.has(name)) state.droppedBy.delete(name)
  const candidates = [...clusters.peer.keys()].filter((name) => !target.has(name))
  if (candidates.length === 0) return { due: [], timers: [] }
  const used = clustersInUse(state)
  if (used === 'unknown') return { due: [], timers: [] }
  const batches = new Map<number, string[]>()
  for (const name of candidates) {
    if (used.has(name)) state.leaving.delete(name)
    else if (!state.leaving.has(name)) {
      const delayMs = waitFor(state, name)
      batches.set(delayMs, [...(batches.get(delayMs) ?? []), name])
    }
  }
  const timers: AdsEffect[] = []
  for (const [delayMs, names] of batches) {
    const id = `leave:${state.nextNonce++}`
    for (const name of names) state.leaving.set(name, id)
    timers.push({ type: 'timer', id, delayMs })
  }
  return { due: candidates.filter((name) => state.leaving.get(name) === 'due'), timers }
}

export function removalTimerFired(state: AdsState, id: string): void {
  for (const [name, waiting] of state.leaving) if (waiting === id) state.leaving.set(name, 'due')
}

function waitFor(state: AdsState, name: string): number {
  const by = state.droppedBy.get(name) ?? (state.resumed ? 'listener' : 'route')
  return by === 'listener' ? state.options.drainMs : state.options.retryMs
}

/** Records which clusters lose a reference through a response that is about to be accepted. */
export function noteAccepted(state: AdsState, typeUrl: TypeUrl, answer: DeltaAnswer<XdsResource>): void {
  if (typeUrl !== typeUrls.listener && typeUrl !== typeUrls.route) return
  const side = sideOf(state, typeUrl)
  const names = [...answer.changed.map((resource) => resource.name), ...answer.removed]
  for (const name of names) {
    const before = side.held.get(name)
    if (!before || answer.changed.some((resource) => resource.name === name && resource.version === before.version))
      continue
    for (const cluster of before.clusters ?? []) drop(state, cluster, typeUrl)
    for (const route of before.routes ?? []) {
      for (const cluster of sideOf(state, typeUrls.route).held.get(route)?.clusters ?? []) drop(state, cluster, typeUrl)
    }
  }
}

function drop(state: AdsState, cluster: string, typeUrl: TypeUrl): void {
  if (typeUrl === typeUrls.listener) state.droppedBy.set(cluster, 'listener')
  else if (!state.droppedBy.has(cluster)) state.droppedBy.set(cluster, 'route')
}

/** The clusters that accepted or sent resources name; `unknown` if the proxy has a resource of unknown content. */
function clustersInUse(state: AdsState): ReadonlySet<string> | 'unknown' {
  const listeners = sideOf(state, typeUrls.listener)
  const routes = sideOf(state, typeUrls.route)
  for (const name of listeners.peer.keys()) {
    if (!isKnown(listeners, name)) return 'unknown'
  }
  const used = new Set<string>()
  const reachable = new Set<string>()
  for (const listener of possible(listeners)) {
    for (const cluster of listener.clusters ?? []) used.add(cluster)
    for (const route of listener.routes ?? []) reachable.add(route)
  }
  for (const name of reachable) if (routes.peer.has(name) && !isKnown(routes, name)) return 'unknown'
  for (const table of possible(routes)) {
    if (reachable.has(table.name)) for (const cluster of table.clusters ?? []) used.add(cluster)
  }
  return used
}

const isKnown = (side: ReturnType<typeof sideOf>, name: string): boolean =>
  !side.former.has(name) && (side.held.has(name) || side.alone.has(name))

/** All resources of a type that the proxy may have, or may receive through responses without a verdict. */
function* possible(side: ReturnType<typeof sideOf>): Iterable<XdsResource> {
  yield* side.held.values()
  for (const [name, versions] of side.alone) if (side.peer.has(name)) yield* versions
  for (const answer of side.pending.values()) yield* answer.changed
}
