import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { type DeltaSide, difference, oldestPending, wrote } from '@zonemesh/shared/delta/delta.ts'
import { leavingClusters } from './ads-removal.ts'
import { type AdsEffect, type AdsState, isWildcardType, sideOf, targetOf } from './ads-state.ts'
import { retractUnwatched } from './ads-unwatched.ts'
import { emptyResource, isEmptyVersion } from './empty.ts'
import { warmsSlowly } from './slow-cluster.ts'

/**
 * Writes everything that may be written now, in the order that Envoy needs: clusters, their assignments (X1), secrets,
 * listeners, secrets of new listeners, routes. Then reports the marks that have become served.
 */
export function flush(state: AdsState): readonly AdsEffect[] {
  if (!state.table) return []
  const effects: AdsEffect[] = []
  const clustersOpen = sideOf(state, typeUrls.cluster).open
  const leaving = leavingClusters(state)
  if (clustersOpen) effects.push(...writeClusters(state, leaving.due))
  effects.push(...writeNamed(state, typeUrls.assignment), ...writeNamed(state, typeUrls.secret))
  effects.push(...writeNamed(state, typeUrls.runtime))
  const cold = coldClusters(state)
  const listeners = clustersOpen ? writeListeners(state, cold) : { effects: [], held: true }
  const routes = writeNamed(state, typeUrls.route, (table) => !clustersOpen || namesAny(table, cold))
  effects.push(...listeners.effects, ...writeNamed(state, typeUrls.secret), ...routes)
  // The routes above may have dropped the last reference to a cluster. Its wait starts when they are accepted.
  effects.push(...leaving.timers)
  retractUnwatched(state)
  if (listeners.held || routesHeld(state)) state.unsentSince ??= state.table.mark
  else state.unsentSince = undefined
  return [...effects, ...reportServed(state)]
}

function writeClusters(state: AdsState, due: readonly string[]): readonly AdsEffect[] {
  const side = sideOf(state, typeUrls.cluster)
  const { changed } = difference(side, targetOf(state, typeUrls.cluster))
  if (changed.length === 0 && due.length === 0 && !lacksFirst(side)) return []
  const cold = new Set(changed.filter((cluster) => !side.peer.has(cluster.name) && warmsSlowly(cluster)))
  const effects = write(state, typeUrls.cluster, changed, due)
  for (const effect of effects) {
    if (effect.type === 'send' && ackMeansWarm(state) && effect.changed.some((cluster) => cold.has(cluster))) {
      effects.push({ type: 'timer', id: `warm:${effect.nonce}`, delayMs: state.options.warmMs })
    }
  }
  const assignments = sideOf(state, typeUrls.assignment)
  for (const cluster of changed) {
    // X1, X3: this includes an assignment that is unchanged or shared with another cluster.
    if (cluster.assignment !== undefined) assignments.owed.add(cluster.assignment)
    push(state, typeUrls.secret, cluster.secrets)
  }
  for (const name of due) state.leaving.delete(name)
  forgiveUsers(state, changed)
  return effects
}

/** Tries refused listeners again with their new clusters: a missing cluster may have been the reason of the refusal. */
function forgiveUsers(state: AdsState, clusters: readonly XdsResource[]): void {
  const side = sideOf(state, typeUrls.listener)
  if (side.refused.size === 0) return
  const names = new Set(clusters.map((cluster) => cluster.name))
  const target = targetOf(state, typeUrls.listener)
  for (const name of side.refused.keys()) {
    const listener = target.get(name)
    if (listener && namesAny(listener, names)) side.refused.delete(name)
  }
}

/** The proxy waits for the first response of a wildcard type, so it is sent even if it is empty. */
const lacksFirst = (side: DeltaSide<XdsResource>): boolean => !side.answered && side.peer.size === 0

function writeListeners(
  state: AdsState,
  cold: ReadonlySet<string>,
): { readonly effects: readonly AdsEffect[]; readonly held: boolean } {
  const side = sideOf(state, typeUrls.listener)
  if (!side.open) return { effects: [], held: true }
  const target = targetOf(state, typeUrls.listener)
  const { changed, removed } = difference(side, target)
  const ready = changed.filter((listener) => !namesAny(listener, cold))
  const held = ready.length < changed.length
  // A held listener may be about to take over the address of another one, so none is removed meanwhile.
  const gone = held ? [] : removed
  if (ready.length === 0 && gone.length === 0 && !lacksFirst(side)) return { effects: [], held }
  const effects = write(state, typeUrls.listener, ready, gone)
  for (const listener of ready) {
    push(state, typeUrls.secret, listener.secrets)
    for (const route of listener.routes ?? []) sideOf(state, typeUrls.route).owed.add(route)
  }
  return { effects, held }
}

/**
 * Owes the secrets of a new resource before the proxy subscribes to them (X6). Those that it has are not repeated
 * (X5).
 */
function push(state: AdsState, typeUrl: TypeUrl, names: readonly string[] | undefined): void {
  const side = sideOf(state, typeUrl)
  for (const name of names ?? []) if (!side.names.has(name)) side.owed.add(name)
}

/** Writes a type that is subscribed by name: changed and owed resources, and a response for absent names (X14). */
function writeNamed(
  state: AdsState,
  typeUrl: TypeUrl,
  waits: (resource: XdsResource) => boolean = () => false,
): readonly AdsEffect[] {
  const side = sideOf(state, typeUrl)
  const { changed, missing } = difference(side, targetOf(state, typeUrl))
  const ready = changed.filter((resource) => side.owed.has(resource.name) || !waits(resource))
  const removable = typeUrl === typeUrls.secret || typeUrl === typeUrls.assignment
  const subscribed = missing.filter((name) => side.names.has(name) || targetOf(state, typeUrl).has(name))
  for (const name of missing) if (!subscribed.includes(name)) side.owed.delete(name)
  const absent = subscribed.filter((name) => removable && !(typeUrl === typeUrls.assignment && isLive(state, name)))
  const empty = subscribed.filter((name) => !absent.includes(name)).map(emptyResource)
  if (ready.length === 0 && subscribed.length === 0) return []
  return write(state, typeUrl, [...acceptedFirst(state, side, ready), ...ready, ...empty], absent)
}

/** X15: an assignment in the target is never removed. */
const isLive = (state: AdsState, name: string): boolean => targetOf(state, typeUrls.assignment).has(name)

/**
 * X4: if the new assignment of a changed cluster is unproven, the accepted one is sent first. If the new one is
 * refused, the cluster is already warm and keeps its endpoints.
 */
function acceptedFirst(
  state: AdsState,
  side: DeltaSide<XdsResource>,
  changed: readonly XdsResource[],
): readonly XdsResource[] {
  return changed.flatMap((resource) => {
    const held = side.held.get(resource.name)
    const risky = side.owed.has(resource.name) && !state.options.isProven(resource.version)
    return held && risky && held.version !== resource.version && side === sideOf(state, typeUrls.assignment)
      ? [held]
      : []
  })
}

/**
 * Splits into responses: resources in doubt alone, the others together up to the size limit. The first one has the
 * removals.
 */
function write(
  state: AdsState,
  typeUrl: TypeUrl,
  changed: readonly XdsResource[],
  removed: readonly string[],
): AdsEffect[] {
  const side = sideOf(state, typeUrl)
  const together: XdsResource[] = []
  const alone: XdsResource[] = []
  for (const resource of changed) (goesAlone(state, side, typeUrl, resource) ? alone : together).push(resource)
  const groups = split(together, state.options.bytesMax)
  if (groups.length === 0 && (removed.length > 0 || alone.length === 0)) groups.push([])
  groups.push(...alone.map((resource) => [resource]))
  // A held resource counts for the mark at which it was first held, even if a newer table is written now.
  const mark = state.unsentSince ?? state.table?.mark ?? 0
  return groups.map((group, index) => {
    const nonce = String(state.nextNonce++)
    const gone = index === 0 ? removed : []
    wrote(side, nonce, { changed: group, removed: gone, mark })
    return { type: 'send', typeUrl, nonce, changed: group, removed: gone }
  })
}

/** X11–X13: a nack in a named type affects the whole response, so only proven versions share one. */
function goesAlone(state: AdsState, side: DeltaSide<XdsResource>, typeUrl: TypeUrl, resource: XdsResource): boolean {
  if (side.alone.has(resource.name)) return true
  return !isWildcardType(typeUrl) && !isEmptyVersion(resource.version) && !state.options.isProven(resource.version)
}

function split(resources: readonly XdsResource[], bytesMax: number): XdsResource[][] {
  const groups: XdsResource[][] = []
  const names = new Set<string>()
  let bytes = 0
  for (const resource of resources) {
    const last = groups.at(-1)
    if (!last || bytes + resource.bytes.length > bytesMax || names.has(resource.name)) {
      groups.push([resource])
      names.clear()
      bytes = 0
    } else last.push(resource)
    names.add(resource.name)
    bytes += resource.bytes.length
  }
  return groups
}

/**
 * Envoy acks its very first cluster response at once, before warming. An Envoy that reconnects has had its first
 * response.
 */
const ackMeansWarm = (state: AdsState): boolean => state.clustersAcked || state.resumed

/** X8: new clusters that warm slowly and whose response has no verdict yet. */
function coldClusters(state: AdsState): ReadonlySet<string> {
  const cold = new Set<string>()
  if (!ackMeansWarm(state)) return cold
  const side = sideOf(state, typeUrls.cluster)
  for (const [nonce, answer] of side.pending) {
    if (state.gaveUpWaiting.has(nonce)) continue
    for (const cluster of answer.changed)
      if (!side.held.has(cluster.name) && warmsSlowly(cluster)) cold.add(cluster.name)
  }
  return cold
}

const namesAny = (resource: XdsResource, clusters: ReadonlySet<string>): boolean =>
  clusters.size > 0 && (resource.clusters ?? []).some((name) => clusters.has(name))

function routesHeld(state: AdsState): boolean {
  const side = sideOf(state, typeUrls.route)
  return difference(side, targetOf(state, typeUrls.route)).changed.length > 0
}

/** Reports a mark as served when everything for it, and for all earlier marks, is written and has its verdict. */
export function reportServed(state: AdsState): readonly AdsEffect[] {
  let limit = state.unsentSince ?? Number.POSITIVE_INFINITY
  for (const side of state.sides.values()) limit = Math.min(limit, oldestPending(side) ?? limit)
  const served = state.marks.findLast((candidate) => candidate < limit)
  if (served === undefined) return []
  state.marks = state.marks.filter((candidate) => candidate > served)
  return [{ type: 'served', mark: served }]
}
