/**
 * The state of the server of a delta discovery stream for one type of resource: what the peer has subscribed to, what
 * it has or is being sent, and which answers have no verdict yet. Pure; the protocol around it decides what to write.
 */
export interface DeltaSide<R extends Versioned> {
  /** The peer has requested this type on this stream. */
  open: boolean
  /** Something was written on this stream. */
  answered: boolean
  /** The peer subscribes to every resource of the type, not only to `names`. */
  wildcard: boolean
  readonly names: Set<string>
  /** Names that the next write must answer, even if nothing has changed. */
  readonly owed: Set<string>
  /** The version that the peer holds or is being sent; `uncertain` after a nack that does not name this resource. */
  readonly peer: Map<string, string>
  /** The newest version that the peer has accepted on this stream, with its content. */
  readonly held: Map<string, R>
  /**
   * The version that the peer holds from former streams, or `uncertain`, until its first verdict. We do not have its
   * content.
   */
  readonly former: Map<string, string>
  /** Answers without a verdict, oldest first, by nonce. */
  readonly pending: Map<string, DeltaAnswer<R>>
  /** The version of a name that the peer has refused when it was sent alone. It is not sent again. */
  readonly refused: Map<string, string>
  /** Names that are sent alone until each has its own verdict, with the versions that the peer may have applied. */
  readonly alone: Map<string, readonly R[]>
}

export interface Versioned {
  readonly name: string
  readonly version: string
}

export interface DeltaAnswer<R> {
  readonly changed: readonly R[]
  readonly removed: readonly string[]
  /** The state from which this answer was made. */
  readonly mark: number
}

/** Stands for an unknown version at the peer. Differs from every real version. */
export const uncertain = '?'

export function createDeltaSide<R extends Versioned>(): DeltaSide<R> {
  return {
    open: false,
    answered: false,
    wildcard: false,
    names: new Set(),
    owed: new Set(),
    peer: new Map(),
    held: new Map(),
    former: new Map(),
    pending: new Map(),
    refused: new Map(),
    alone: new Map(),
  }
}

export interface Subscription {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  /** Only in the first request for a type: what the peer holds from former streams. */
  readonly initial: Readonly<Record<string, string>>
}

/**
 * Applies a change of the peer's subscription. A newly subscribed name becomes owed, unless the peer reports that it
 * holds it. `wildcardType`: the first request of the type without names subscribes to everything.
 */
export function subscribe<R extends Versioned>(
  side: DeltaSide<R>,
  request: Subscription,
  options: { readonly wildcardType: boolean },
): void {
  if (!side.open) {
    side.open = true
    side.wildcard = options.wildcardType && request.subscribe.every((name) => name === '*')
    // An answer that was already written on this stream is newer than the version in the request.
    for (const [name, version] of Object.entries(request.initial)) {
      if (side.peer.has(name)) continue
      side.peer.set(name, version)
      side.former.set(name, version)
    }
  }
  for (const name of request.unsubscribe) {
    side.names.delete(name)
    side.owed.delete(name)
    if (side.wildcard) continue
    side.peer.delete(name)
    side.former.delete(name)
    side.held.delete(name)
  }
  for (const name of request.subscribe) {
    if (name === '*') continue
    side.names.add(name)
    if (!(name in request.initial)) side.owed.add(name)
  }
}

/** Records that the peer may have an unknown version of a name. */
export function doubt<R extends Versioned>(side: DeltaSide<R>, name: string): void {
  side.peer.set(name, uncertain)
  side.former.set(name, uncertain)
}

/**
 * Completes the content of resources that the peer holds from former streams, if the target still has the same version.
 */
export function adopt<R extends Versioned>(side: DeltaSide<R>, target: ReadonlyMap<string, R>): void {
  for (const [name, version] of side.former) {
    const resource = target.get(name)
    if (resource?.version !== version) continue
    side.held.set(name, resource)
    side.former.delete(name)
  }
}

export interface Difference<R> {
  readonly changed: readonly R[]
  /** Wildcard types: names that the peer has and the target does not. */
  readonly removed: readonly string[]
  /** Owed names without a version to send. */
  readonly missing: readonly string[]
}

/**
 * The difference between the peer and the target. Instead of a refused version, the peer gets the one it accepted
 * before.
 */
export function difference<R extends Versioned>(side: DeltaSide<R>, target: ReadonlyMap<string, R>): Difference<R> {
  const changed: R[] = []
  for (const [name, resource] of target) {
    if (!side.wildcard && !side.names.has(name) && !side.peer.has(name) && !side.owed.has(name)) continue
    const toSend = wantedOf(side, resource)
    if (!toSend) continue
    const differs = side.peer.get(name) !== toSend.version
    // Instead of a refused version the accepted one is sent, but only when no answer for this name is pending.
    if (side.owed.has(name) || (differs && (toSend === resource || !isPending(side, name)))) changed.push(toSend)
  }
  const removed = side.wildcard ? [...side.peer.keys()].filter((name) => !target.has(name)) : []
  const missing = [...side.owed].filter((name) => {
    const resource = target.get(name)
    return !resource || !wantedOf(side, resource)
  })
  return { changed, removed, missing }
}

const isPending = <R extends Versioned>(side: DeltaSide<R>, name: string): boolean =>
  [...side.pending.values()].some(({ changed }) => changed.some((resource) => resource.name === name))

/** The version to send: the target's, or the accepted one before it if the target's was refused. */
export function wantedOf<R extends Versioned>(side: DeltaSide<R>, resource: R): R | undefined {
  return side.refused.get(resource.name) === resource.version ? side.held.get(resource.name) : resource
}

/** Records an answer that was written. */
export function wrote<R extends Versioned>(side: DeltaSide<R>, nonce: string, answer: DeltaAnswer<R>): void {
  for (const resource of answer.changed) {
    side.peer.set(resource.name, resource.version)
    side.owed.delete(resource.name)
  }
  for (const name of answer.removed) {
    side.peer.delete(name)
    side.owed.delete(name)
  }
  side.answered = true
  side.pending.set(nonce, answer)
}

/** The peer has accepted an answer. Returns the answer; undefined if the nonce is unknown. */
export function acknowledge<R extends Versioned>(side: DeltaSide<R>, nonce: string): DeltaAnswer<R> | undefined {
  const answer = side.pending.get(nonce)
  if (!answer) return undefined
  side.pending.delete(nonce)
  for (const resource of answer.changed) {
    side.held.set(resource.name, resource)
    side.former.delete(resource.name)
    side.alone.delete(resource.name)
    if (side.refused.get(resource.name) === resource.version) side.refused.delete(resource.name)
  }
  for (const name of answer.removed) {
    side.held.delete(name)
    side.former.delete(name)
    if (!side.peer.has(name)) side.alone.delete(name)
  }
  return answer
}

/**
 * The peer has refused an answer. If the answer has one resource, that is its verdict, and the peer keeps its former
 * version. If it has several, it is unknown which were applied, so each is sent again alone. Removals are repeated too.
 */
export function refuse<R extends Versioned>(
  side: DeltaSide<R>,
  nonce: string,
): { readonly answer: DeltaAnswer<R>; readonly verdict: R | undefined } | undefined {
  const answer = side.pending.get(nonce)
  if (!answer) return undefined
  side.pending.delete(nonce)
  const [first] = answer.changed
  const verdict = answer.changed.length === 1 ? first : undefined
  const pendingNames = new Set<string>()
  for (const { changed, removed } of side.pending.values()) {
    for (const { name } of changed) pendingNames.add(name)
    for (const name of removed) pendingNames.add(name)
  }
  for (const resource of answer.changed) {
    // If a newer version is pending, that answer gets its own verdict.
    const newest = !pendingNames.has(resource.name)
    // The peer may have applied versions from refused answers with several resources.
    const before = side.alone.get(resource.name) ?? []
    const bad = verdict?.version ?? side.refused.get(resource.name)
    const possible = [...before, resource].filter((one) => one.version !== bad)
    if (possible.length > 0) side.alone.set(resource.name, possible)
    else side.alone.delete(resource.name)
    if (newest && possible.length > 0) side.peer.set(resource.name, uncertain)
    else if (newest) restore(side, resource.name)
  }
  for (const name of answer.removed) if (!pendingNames.has(name)) side.peer.set(name, uncertain)
  if (verdict) side.refused.set(verdict.name, verdict.version)
  return { answer, verdict }
}

/** Retracts an answer that the peer has dropped unread. Its resources count as never sent. */
export function retract<R extends Versioned>(side: DeltaSide<R>, nonce: string): void {
  const answer = side.pending.get(nonce)
  side.pending.delete(nonce)
  for (const { name } of answer?.changed ?? []) if (!isPending(side, name)) restore(side, name)
}

function restore<R extends Versioned>(side: DeltaSide<R>, name: string): void {
  const version = side.held.get(name)?.version ?? side.former.get(name)
  if (version !== undefined) side.peer.set(name, version)
  else side.peer.delete(name)
}

/** The lowest mark of the answers without a verdict. */
export function oldestPending<R extends Versioned>(side: DeltaSide<R>): number | undefined {
  let oldest: number | undefined
  for (const answer of side.pending.values()) if (oldest === undefined || answer.mark < oldest) oldest = answer.mark
  return oldest
}
