import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { ProxyFacts, TypeUrl } from '@zonemesh/core/emit/table.ts'
import type { DeltaDiscoveryRequest } from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import {
  type AdsEffect,
  type AdsEvent,
  type AdsOptions,
  type AdsState,
  createAdsState,
  type Doubt,
  doubtOf,
  pendingCount,
} from './ads-state.ts'
import { adsStep } from './ads-step.ts'
import {
  type Credentials,
  type ProxyFeed,
  type ProxyIdentity,
  type ProxyStream,
  proxyId,
  type XdsDeps,
} from './contract.ts'
import { type Messages, messagesOf } from './messages.ts'
import { type ProxyNode, readNode } from './node.ts'
import type { Proven } from './proven.ts'
import { decodeRequest, encodeResponse, requestFrom } from './wire.ts'

export type AdsCall = ServerDuplexStream<Buffer, Buffer>

/** The shared state of the streams of one server. */
export interface StreamShared {
  readonly proven: Proven
  readonly options: Omit<AdsOptions, 'isProven' | 'doubtful'>
  /** The live stream of each proxy. */
  readonly live: Map<string, LiveStream>
  /** Resources that a former stream of a proxy left in doubt (X13). Limit: 1,000 proxies; the oldest is forgotten. */
  readonly doubtful: Map<string, Doubt>
}

export interface LiveStream {
  readonly proxy: ProxyIdentity
  readonly facts: ProxyFacts
  /** The accepted versions, by type and name. */
  accepted(): ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** The refused resources with the proxy's reason, by type and name. */
  refused(): ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** Ends the stream. Resolves when the zone has handled the end. */
  replace(): Promise<void>
}

/**
 * Above this number of responses without a verdict, newer tables wait. Of several waiting tables only the newest is
 * sent.
 */
const pendingMax = 2_000
const doubtfulMax = 1_000
/**
 * Limit of the subscriptions of a stream, repeated ones included. Without it, a proxy could fill the memory with
 * names that do not exist. Envoy subscribes to each name once, and again after a change. Above the limit the stream
 * ends, and the next one starts from zero.
 */
const subscriptionsMax = 1_000_000

/** Runs one ADS stream until either side ends it. Calls `admit` with the connection when its token is verified. */
export async function runStream(
  deps: XdsDeps,
  shared: StreamShared,
  call: AdsCall,
  admit: (peer: string) => void,
): Promise<void> {
  const ended = new AbortController()
  const stop = () => ended.abort()
  call.on('cancelled', stop).on('close', stop).on('error', stop)
  try {
    const messages = messagesOf(call)
    const first = await messages()
    if (!first) return
    const firstRequest = readable(first)
    if (!firstRequest) return refuse(call, status.INVALID_ARGUMENT, 'expected a DeltaDiscoveryRequest')
    const node = readNode(firstRequest.node)
    if (!node.ok) return refuse(call, status.INVALID_ARGUMENT, node.error)
    const token = call.metadata.get('authorization')[0]?.toString()
    const allowed = await deps.authenticate(token, node.value.proxy, node.value.resource)
    if (!allowed.ok) return refuse(call, status.UNAUTHENTICATED, allowed.error)
    admit(call.getPeer())
    using _held = deps.holdToken(token, node.value.proxy, (reason) => {
      refuse(call, status.UNAUTHENTICATED, reason)
      ended.abort()
    })
    await runAdmitted(deps, shared, call, node.value, allowed.value, firstRequest, messages, ended)
  } catch (error) {
    if (ended.signal.aborted) return
    deps.log.warn({ error: messageOf(error) }, 'an ADS stream failed')
    refuse(call, status.INTERNAL, messageOf(error))
  } finally {
    stop()
    call.end()
  }
}

async function runAdmitted(
  deps: XdsDeps,
  shared: StreamShared,
  call: AdsCall,
  node: ProxyNode,
  credentials: Credentials,
  firstRequest: DeltaDiscoveryRequest,
  messages: Messages,
  ended: AbortController,
): Promise<void> {
  const id = streamId(node.proxy)
  const log = deps.log.child({ proxy: proxyId(node.proxy) })
  const done = Promise.withResolvers<void>()
  let state: AdsState | undefined
  const own: LiveStream = {
    proxy: node.proxy,
    facts: node.facts,
    accepted: () => new Map([...(state?.sides ?? [])].map(([typeUrl, { peer }]) => [typeUrl, peer])),
    refused: () => state?.blamed ?? new Map(),
    async replace() {
      log.info({}, 'a newer stream of this proxy replaces the older one')
      refuse(call, status.ABORTED, 'a newer stream of this proxy took over')
      ended.abort()
      await done.promise
    },
  }
  const former = shared.live.get(id)
  shared.live.set(id, own)
  const stream = { ...node, credentials, id: deps.random.uuid(), connectedAtMs: deps.clock.wallMs() }
  let opened = false
  try {
    await former?.replace()
    if (ended.signal.aborted) return
    const registered = await deps.opened(stream)
    if (!registered.ok) return refuse(call, status.FAILED_PRECONDITION, registered.error)
    opened = true
    deps.observer?.streamOpened()
    if (ended.signal.aborted) return
    state = createAdsState({
      ...shared.options,
      isProven: (version) => shared.proven.has(version),
      doubtful: shared.doubtful.get(id) ?? new Map(),
    })
    await serve(deps, shared, call, stream, state, firstRequest, messages, ended)
  } finally {
    if (shared.live.get(id) === own) shared.live.delete(id)
    if (opened) deps.closed(stream)
    done.resolve()
  }
}

/** The type is part of the id, because an ingress and an egress may have the same name. */
const streamId = (proxy: ProxyIdentity): string => `${proxy.type} ${proxyId(proxy)}`

async function serve(
  deps: XdsDeps,
  shared: StreamShared,
  call: AdsCall,
  stream: ProxyStream,
  state: AdsState,
  firstRequest: DeltaDiscoveryRequest,
  messages: Messages,
  ended: AbortController,
): Promise<void> {
  const nodeId = proxyId(stream.proxy)
  const settled = createSignal()
  const timers = new Set<Disposable>()
  const stopTimers = () => {
    for (const timer of timers) timer[Symbol.dispose]()
  }
  ended.signal.addEventListener('abort', stopTimers, { once: true })
  // Each caller checks first that the stream has not ended.
  const run = (event: AdsEvent) => {
    deps.trace?.(stream, event)
    const sinceMs = deps.clock.monotonicMs()
    const effects = adsStep(state, event)
    for (const effect of effects) perform(effect)
    // Most events are acks, after which nothing is written.
    if (deps.observer && effects.some(({ type }) => type === 'send'))
      deps.observer.flushed(deps.clock.monotonicMs() - sinceMs)
    settled.notify()
  }
  const perform = (effect: AdsEffect): void => {
    deps.trace?.(stream, effect)
    switch (effect.type) {
      case 'send':
        call.write(encodeResponse(effect))
        deps.observer?.sent(effect.typeUrl)
        return
      case 'timer': {
        const timer = deps.clock.after(effect.delayMs, () => {
          timers.delete(timer)
          run({ type: 'timer', id: effect.id })
        })
        timers.add(timer)
        return
      }
      case 'accepted':
        shared.proven.add(effect.versions)
        return
      case 'refused':
        deps.observer?.refused(effect.refusal.typeUrl)
        logRefusal(deps, stream, effect.refusal)
        deps.refused(stream.proxy, effect.refusal)
        return
      case 'absolved':
        deps.absolved(stream.proxy, effect)
        return
      case 'served':
        deps.served(stream.proxy, effect.mark)
        return
    }
  }
  const feed = deps.openTables(stream.proxy)
  call.on('drain', settled.notify)
  const tables = feedTables(
    feed,
    run,
    () => !call.writableNeedDrain && pendingCount(state) < pendingMax,
    settled,
    ended,
  )
  try {
    run({ type: 'request', request: requestFrom(firstRequest) })
    let subscribed = firstRequest.resourceNamesSubscribe.length
    for (;;) {
      const next = await messages()
      if (!next || ended.signal.aborted) break
      const request = readable(next)
      if (!request) {
        refuse(call, status.INVALID_ARGUMENT, 'expected a DeltaDiscoveryRequest')
        break
      }
      subscribed += request.resourceNamesSubscribe.length
      if (subscribed > subscriptionsMax) {
        refuse(call, status.RESOURCE_EXHAUSTED, `expected at most ${subscriptionsMax} subscriptions in one stream`)
        break
      }
      if (request.node && request.node.id !== '' && request.node.id !== nodeId) {
        refuse(call, status.INVALID_ARGUMENT, 'the node id changed within a stream')
        break
      }
      run({ type: 'request', request: requestFrom(request) })
    }
  } finally {
    ended.abort()
    settled.notify()
    await tables
    feed.close()
    keepDoubt(shared, streamId(stream.proxy), state)
  }
}

/** Decodes a request. Returns undefined if the bytes are no request. */
function readable(bytes: Uint8Array): DeltaDiscoveryRequest | undefined {
  try {
    return decodeRequest(bytes)
  } catch {
    return undefined
  }
}

/** Passes the newest table to the step, and none while too many responses have no verdict. */
async function feedTables(
  feed: ProxyFeed,
  run: (event: AdsEvent) => void,
  ready: () => boolean,
  settled: Signal,
  ended: AbortController,
): Promise<void> {
  let given: unknown
  for await (const _ of feed.table.watch(ended.signal)) {
    while (!ready() && !ended.signal.aborted) await settled.next()
    const newest = feed.table.value
    if (!newest || newest === given || ended.signal.aborted) continue
    given = newest
    run({ type: 'table', table: newest })
  }
}

interface Signal {
  notify(): void
  next(): Promise<void>
}

function createSignal(): Signal {
  let waiting = Promise.withResolvers<void>()
  return {
    notify() {
      waiting.resolve()
      waiting = Promise.withResolvers()
    },
    next: () => waiting.promise,
  }
}

/** X13: the proxy may have resources of a refused or unanswered response although it does not list them. */
function keepDoubt(shared: StreamShared, id: string, state: AdsState): void {
  const doubtful = doubtOf(state)
  shared.doubtful.delete(id)
  if (doubtful.size > 0) shared.doubtful.set(id, doubtful)
  for (const oldest of shared.doubtful.keys()) {
    if (shared.doubtful.size <= doubtfulMax) break
    shared.doubtful.delete(oldest)
  }
}

function logRefusal(
  deps: XdsDeps,
  stream: ProxyStream,
  refusal: { typeUrl: string; name: string; detail: string; reason: string },
): void {
  const { typeUrl, name, detail, reason } = refusal
  deps.log.warn({ proxy: proxyId(stream.proxy), typeUrl, name, reason, detail }, 'Envoy refused a resource')
}

function refuse(call: AdsCall, code: status, details: string): void {
  call.emit('error', { code, details })
}
