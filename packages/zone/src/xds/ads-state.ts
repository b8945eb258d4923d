import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createDeltaSide, type DeltaSide, uncertain } from '@zonemesh/shared/delta/delta.ts'

/** The table of a proxy with its secrets, which the stream sends to the proxy. Immutable. */
export interface ResolvedTable {
  readonly mark: number
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, XdsResource>>
}

/** One delta request, decoded. */
export interface AdsRequest {
  readonly typeUrl: string
  readonly nonce: string
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initial: Readonly<Record<string, string>>
  /** The text of a nack. */
  readonly error?: string
}

export type AdsEvent =
  | { readonly type: 'request'; readonly request: AdsRequest }
  | { readonly type: 'table'; readonly table: ResolvedTable }
  | { readonly type: 'timer'; readonly id: string }

/** The refusal of one resource that was sent alone. */
export interface Refusal {
  readonly typeUrl: TypeUrl
  readonly name: string
  readonly version: string
  readonly detail: string
  /** `bind`: the address was in use, and the same version is tried again later. `content`: it needs another version. */
  readonly reason: 'bind' | 'content'
  /** The contributions that are new, or have changed since the last accepted version. */
  readonly contributions: readonly string[]
}

export type AdsEffect =
  | {
      readonly type: 'send'
      readonly typeUrl: TypeUrl
      readonly nonce: string
      readonly changed: readonly XdsResource[]
      readonly removed: readonly string[]
    }
  /** Run the event `timer` with this id after the delay. */
  | { readonly type: 'timer'; readonly id: string; readonly delayMs: number }
  /** These versions were accepted, so they are proven for every proxy of the zone. */
  | { readonly type: 'accepted'; readonly typeUrl: TypeUrl; readonly versions: readonly string[] }
  | { readonly type: 'refused'; readonly refusal: Refusal }
  /** A refused resource was accepted, or is no longer in the table. */
  | { readonly type: 'absolved'; readonly typeUrl: TypeUrl; readonly name: string }
  /** Every response for the marks up to this one has its verdict. */
  | { readonly type: 'served'; readonly mark: number }

export type Doubt = ReadonlyMap<TypeUrl, readonly string[]>

export interface AdsOptions {
  /** Whether a proxy has accepted this version, so that it may share a response with others. */
  isProven(version: string): boolean
  /** How long Envoy keeps connections of a removed or replaced listener. */
  readonly drainMs: number
  /** The longest time during which Envoy may retry a request with the routes with which it began. */
  readonly retryMs: number
  /** How long routes wait until a new cluster with health checks or DNS is warm. */
  readonly warmMs: number
  /** The first wait before an address in use is tried again. It doubles up to sixteen times this value. */
  readonly bindRetryMs: number
  /** Responses are split above this number of bytes. */
  readonly bytesMax: number
  /** Resources that a former stream left in doubt, by type. They are sent again or removed. */
  readonly doubtful: Doubt
}

export const defaultAdsOptions: Omit<AdsOptions, 'isProven'> = {
  drainMs: 5_000,
  retryMs: 2_000,
  warmMs: 10_000,
  bindRetryMs: 2_000,
  bytesMax: 256 * 1024,
  doubtful: new Map(),
}

/** The state of one stream. The step owns it and changes it in place. */
export interface AdsState {
  readonly options: AdsOptions
  readonly sides: ReadonlyMap<TypeUrl, DeltaSide<XdsResource>>
  table: ResolvedTable | undefined
  /** Marks of tables that are not yet reported as served, in order. */
  marks: number[]
  /** The oldest mark with a resource that is not written yet. */
  unsentSince: number | undefined
  nextNonce: number
  /** The peer has clusters of a former stream, and their references are unknown. */
  resumed: boolean
  /** A cluster response was accepted on this stream, so each later ack means that all its clusters are warm. */
  clustersAcked: boolean
  /** Nonces of cluster responses whose slow clusters took too long: routes no longer wait for them. */
  readonly gaveUpWaiting: Set<string>
  /**
   * By cluster, the kind of the lost reference, which determines the wait before the removal. `listener` takes
   * precedence.
   */
  readonly droppedBy: Map<string, 'route' | 'listener'>
  /** By cluster to remove, the id of the timer of its wait, or `due`. */
  readonly leaving: Map<string, string>
  /** Failed attempts to bind, by listener. */
  readonly bindTries: Map<string, number>
  /** The refused resources by type and name, with the text of the nack. */
  readonly blamed: ReadonlyMap<TypeUrl, Map<string, string>>
}

export function createAdsState(options: AdsOptions): AdsState {
  const sides = new Map(Object.values(typeUrls).map((typeUrl) => [typeUrl, createDeltaSide<XdsResource>()]))
  return {
    options,
    sides,
    table: undefined,
    marks: [],
    unsentSince: undefined,
    nextNonce: 1,
    resumed: false,
    clustersAcked: false,
    gaveUpWaiting: new Set(),
    droppedBy: new Map(),
    leaving: new Map(),
    bindTries: new Map(),
    blamed: new Map(Object.values(typeUrls).map((typeUrl) => [typeUrl, new Map()])),
  }
}

/**
 * X13: the resources that the proxy may have although its next stream will not list them, or not in that version,
 * because they were in a response that was refused or has no verdict. The options of the next stream carry them on.
 */
export function doubtOf(state: AdsState): Doubt {
  const doubt = new Map<TypeUrl, readonly string[]>()
  for (const [typeUrl, side] of state.sides) {
    const names = new Set(side.open ? [] : state.options.doubtful.get(typeUrl))
    for (const [name, version] of side.peer) if (version === uncertain) names.add(name)
    for (const answer of side.pending.values()) {
      for (const resource of answer.changed) names.add(resource.name)
      for (const name of answer.removed) names.add(name)
    }
    if (names.size > 0) doubt.set(typeUrl, [...names])
  }
  return doubt
}

const noResources: ReadonlyMap<string, XdsResource> = new Map()

/** The target resources of one type. */
export const targetOf = (state: AdsState, typeUrl: TypeUrl): ReadonlyMap<string, XdsResource> =>
  state.table?.resources.get(typeUrl) ?? noResources

export function sideOf(state: AdsState, typeUrl: TypeUrl): DeltaSide<XdsResource> {
  const side = state.sides.get(typeUrl)
  if (!side) throw new Error(`invariant broken: no side for ${typeUrl}`)
  return side
}

/** Whether a wildcard subscription covers every resource of the type. */
export const isWildcardType = (typeUrl: TypeUrl): boolean =>
  typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener

/** The number of responses without a verdict. The shell passes no new table while there are too many. */
export const pendingCount = (state: AdsState): number =>
  [...state.sides.values()].reduce((count, side) => count + side.pending.size, 0)
