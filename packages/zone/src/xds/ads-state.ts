import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createDeltaSide, type DeltaSide, uncertain } from '@zonemesh/shared/delta/delta.ts'

/** A proxy's table with its secrets made: what the stream is to bring to the proxy. Immutable. */
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

/** A verdict on one resource that was sent alone. */
export interface Refusal {
  readonly typeUrl: TypeUrl
  readonly name: string
  readonly version: string
  readonly detail: string
  /** `bind`: the address was not free; the same version is tried again later. `content`: it needs another version. */
  readonly reason: 'bind' | 'content'
  /** The contributions that are new or different since the version the proxy accepted last. */
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
  /** These versions were accepted: they are proven for every proxy of the zone. */
  | { readonly type: 'accepted'; readonly typeUrl: TypeUrl; readonly versions: readonly string[] }
  | { readonly type: 'refused'; readonly refusal: Refusal }
  /** What was refused last time was accepted now, or is wanted no more. */
  | { readonly type: 'absolved'; readonly typeUrl: TypeUrl; readonly name: string }
  /** Every answer made from marks up to this one has its verdict. */
  | { readonly type: 'served'; readonly mark: number }

export type Doubt = ReadonlyMap<TypeUrl, readonly string[]>

export interface AdsOptions {
  /** True for a version that some proxy has accepted: it may share an answer with others. */
  isProven(version: string): boolean
  /** How long Envoy lets connections of a removed or replaced listener live. */
  readonly drainMs: number
  /** The longest time in which a request may be tried again with the routes it began with. */
  readonly retryMs: number
  /** How long routes wait for a new cluster with health checks or DNS to become warm. */
  readonly warmMs: number
  /** The first wait before an address that was not free is tried again; doubles up to sixteen times this. */
  readonly bindRetryMs: number
  /** Answers are split above this many bytes. */
  readonly bytesMax: number
  /** What a former stream left in doubt, by type: it is sent again, or removed. */
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

/** All that a step knows about one stream. The step owns it and changes it in place. */
export interface AdsState {
  readonly options: AdsOptions
  readonly sides: ReadonlyMap<TypeUrl, DeltaSide<XdsResource>>
  table: ResolvedTable | undefined
  /** Marks of tables that are not reported as served yet, in order. */
  marks: number[]
  /** The mark since which something could not be written yet. */
  unsentSince: number | undefined
  nextNonce: number
  /** The peer came with clusters of a former stream: what they are used by is unknown. */
  resumed: boolean
  /** A cluster answer was accepted on this stream, so from now on its ack means "all warm". */
  clustersAcked: boolean
  /** Nonces of cluster answers for whose slow clusters nobody waits any longer. */
  readonly gaveUpWaiting: Set<string>
  /** Clusters that lost a reference: what they must outlive before they may be removed. */
  readonly droppedBy: Map<string, 'route' | 'listener'>
  /** Clusters to be removed: the id of the timer that ends their wait, or `due`. */
  readonly leaving: Map<string, string>
  /** Failed attempts to bind, by listener. */
  readonly bindTries: Map<string, number>
  /** What stands refused, by type and name, with the text of the nack. */
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
 * X13: what the proxy may have although it will not list it on its next stream, or not in that version, because it came
 * in an answer that was refused or has no verdict. Whoever opens the next stream passes it on.
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

/** What the proxy is to have of one type. */
export const targetOf = (state: AdsState, typeUrl: TypeUrl): ReadonlyMap<string, XdsResource> =>
  state.table?.resources.get(typeUrl) ?? noResources

export function sideOf(state: AdsState, typeUrl: TypeUrl): DeltaSide<XdsResource> {
  const side = state.sides.get(typeUrl)
  if (!side) throw new Error(`invariant broken: no side for ${typeUrl}`)
  return side
}

/** True if wildcard requests are answered with every resource of the type. */
export const isWildcardType = (typeUrl: TypeUrl): boolean =>
  typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener

/** Answers without a verdict; the shell gives no new table while there are too many. */
export const pendingCount = (state: AdsState): number =>
  [...state.sides.values()].reduce((count, side) => count + side.pending.size, 0)
