import { isBindFailure, type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { acknowledge, adopt, doubt, refuse, subscribe } from '@zonemesh/shared/delta/delta.ts'
import { flush, reportServed } from './ads-flush.ts'
import { noteAccepted, removalTimerFired } from './ads-removal.ts'
import {
  type AdsEffect,
  type AdsEvent,
  type AdsRequest,
  type AdsState,
  isWildcardType,
  type Refusal,
  type ResolvedTable,
  sideOf,
  targetOf,
} from './ads-state.ts'
import { retractOlder } from './ads-unwatched.ts'
import { emptyResource } from './empty.ts'

/**
 * One step of one aggregated delta stream: takes an event and returns effects. SPEC.md defines the numbered rules
 * (X1–X27). Every event ends with one flush, which writes everything that may be written.
 */
export function adsStep(state: AdsState, event: AdsEvent): readonly AdsEffect[] {
  switch (event.type) {
    case 'request':
      return [...takeRequest(state, event.request), ...(isPlainAck(event.request) ? reportServed(state) : flush(state))]
    case 'table':
      return [...takeTable(state, event.table), ...flush(state)]
    case 'timer':
      takeTimer(state, event.id)
      return flush(state)
  }
}

/** Whether an ack cannot allow further writes. Most requests after the start of a proxy are such acks. */
const isPlainAck = (request: AdsRequest): boolean =>
  (request.typeUrl === typeUrls.assignment || request.typeUrl === typeUrls.secret) &&
  request.nonce !== '' &&
  request.error === undefined &&
  request.subscribe.length === 0 &&
  request.unsubscribe.length === 0

function takeRequest(state: AdsState, request: AdsRequest): readonly AdsEffect[] {
  const typeUrl = Object.values(typeUrls).find((known) => known === request.typeUrl)
  if (!typeUrl) return []
  const side = sideOf(state, typeUrl)
  const first = !side.open
  subscribe(side, request, { wildcardType: isWildcardType(typeUrl) })
  if (first) resume(state, typeUrl, request)
  if (typeUrl === typeUrls.assignment) forgetPushed(state, request)
  if (request.nonce === '') return []
  retractOlder(state, typeUrl, request.nonce)
  return request.error === undefined ? accept(state, typeUrl, request.nonce) : reject(state, typeUrl, request)
}

/**
 * X18–X20: the first request of a type lists the resources of the peer; its order shows whether a cluster is warming.
 */
function resume(state: AdsState, typeUrl: TypeUrl, request: AdsRequest): void {
  const side = sideOf(state, typeUrl)
  if (typeUrl === typeUrls.cluster) state.resumed = Object.keys(request.initial).length > 0
  for (const name of state.options.doubtful.get(typeUrl) ?? []) {
    if (side.wildcard || side.names.has(name)) doubt(side, name)
  }
  if (typeUrl === typeUrls.assignment && !sideOf(state, typeUrls.cluster).open) {
    for (const name of request.subscribe) side.owed.add(name)
  }
  adopt(side, targetOf(state, typeUrl))
}

/** X1, X3: an assignment that was sent with its cluster, before the subscription to it, is not owed again. */
function forgetPushed(state: AdsState, request: AdsRequest): void {
  if (request.subscribe.length === 0 || !sideOf(state, typeUrls.cluster).open) return
  const side = sideOf(state, typeUrls.assignment)
  const target = targetOf(state, typeUrls.assignment)
  const written = new Set([...side.held.values()].map((resource) => resource.version))
  for (const answer of side.pending.values()) for (const resource of answer.changed) written.add(resource.version)
  for (const name of request.subscribe) {
    const version = target.get(name)?.version
    if (version === undefined || name in request.initial || request.unsubscribe.includes(name)) continue
    if (written.has(version) && side.peer.get(name) === version) side.owed.delete(name)
  }
}

function accept(state: AdsState, typeUrl: TypeUrl, nonce: string): readonly AdsEffect[] {
  const side = sideOf(state, typeUrl)
  const answer = side.pending.get(nonce)
  if (!answer) return []
  noteAccepted(state, typeUrl, answer)
  acknowledge(side, nonce)
  if (typeUrl === typeUrls.cluster) {
    state.clustersAcked = true
    state.gaveUpWaiting.delete(nonce)
  }
  for (const resource of answer.changed) state.bindTries.delete(resource.name)
  const versions = answer.changed.map((resource) => resource.version)
  const effects: readonly AdsEffect[] = versions.length > 0 ? [{ type: 'accepted', typeUrl, versions }] : []
  return [...effects, ...absolve(state, typeUrl, (name) => answer.changed.some((one) => one.name === name))]
}

/** X13: withdraws the refusals of a type that no longer apply. */
function absolve(state: AdsState, typeUrl: TypeUrl, isOver: (name: string) => boolean): readonly AdsEffect[] {
  const blamed = state.blamed.get(typeUrl)
  const over = [...(blamed?.keys() ?? [])].filter(isOver)
  for (const name of over) blamed?.delete(name)
  return over.map((name) => ({ type: 'absolved', typeUrl, name }))
}

/** Handles a nack (X11–X13). */
function reject(state: AdsState, typeUrl: TypeUrl, request: AdsRequest): readonly AdsEffect[] {
  const side = sideOf(state, typeUrl)
  const refused = refuse(side, request.nonce)
  if (!refused) return []
  if (typeUrl === typeUrls.cluster) state.gaveUpWaiting.delete(request.nonce)
  repair(state, typeUrl)
  const { verdict } = refused
  if (!verdict) return []
  // A nack of a named type may have emptied the resource, so its accepted version is sent again.
  if (!isWildcardType(typeUrl) && (side.names.has(verdict.name) || side.held.has(verdict.name))) {
    side.owed.add(verdict.name)
  }
  const detail = request.error ?? ''
  state.blamed.get(typeUrl)?.set(verdict.name, detail)
  const bind = typeUrl === typeUrls.listener && isBindFailure(detail)
  const held = side.held.get(verdict.name)
  const refusal: Refusal = {
    typeUrl,
    name: verdict.name,
    version: verdict.version,
    detail,
    reason: bind ? 'bind' : 'content',
    contributions: bind ? [] : changedContributions(verdict, held),
  }
  return bind ? [{ type: 'refused', refusal }, retryBind(state, verdict.name)] : [{ type: 'refused', refusal }]
}

/**
 * X12: a nack ends the warming of all resources of its type. Proven resources that may have waited are written again.
 */
function repair(state: AdsState, typeUrl: TypeUrl): void {
  if (isWildcardType(typeUrl)) return
  const side = sideOf(state, typeUrl)
  const mayWait =
    typeUrl === typeUrls.assignment
      ? [...sideOf(state, typeUrls.cluster).pending.values()].flatMap((answer) =>
          answer.changed.flatMap((cluster) => cluster.assignment ?? []),
        )
      : [...side.pending.values()].flatMap((answer) => answer.changed.map((resource) => resource.name))
  for (const name of mayWait) {
    const version = side.peer.get(name)
    if (version !== undefined && state.options.isProven(version)) side.owed.add(name)
  }
}

function retryBind(state: AdsState, name: string): AdsEffect {
  const tries = state.bindTries.get(name) ?? 0
  state.bindTries.set(name, tries + 1)
  return { type: 'timer', id: `bind:${name}`, delayMs: state.options.bindRetryMs * 2 ** Math.min(tries, 4) }
}

function changedContributions(now: XdsResource, before: XdsResource | undefined): readonly string[] {
  const changed: string[] = []
  for (const [key, hash] of now.contributions ?? []) if (before?.contributions?.get(key) !== hash) changed.push(key)
  return changed
}

function takeTable(state: AdsState, table: ResolvedTable): readonly AdsEffect[] {
  state.table = { mark: table.mark, resources: withAllAssignments(table.resources) }
  if (state.marks.at(-1) !== table.mark) state.marks.push(table.mark)
  for (const [typeUrl, side] of state.sides) {
    const target = targetOf(state, typeUrl)
    adopt(side, target)
    for (const [name, version] of side.refused) if (target.get(name)?.version !== version) side.refused.delete(name)
    for (const name of side.alone.keys()) if (!target.has(name) && !side.peer.has(name)) side.alone.delete(name)
  }
  return [...state.sides.keys()].flatMap((typeUrl) =>
    absolve(state, typeUrl, (name) => !targetOf(state, typeUrl).has(name)),
  )
}

/** X15: a cluster in the target without an assignment receives an empty one, never a removal. */
function withAllAssignments(resources: ResolvedTable['resources']): ResolvedTable['resources'] {
  const assignments = resources.get(typeUrls.assignment)
  const absent: XdsResource[] = []
  for (const { assignment } of resources.get(typeUrls.cluster)?.values() ?? []) {
    if (assignment !== undefined && !assignments?.has(assignment)) absent.push(emptyResource(assignment))
  }
  if (absent.length === 0) return resources
  const all = new Map([...(assignments ?? []), ...absent.map((resource) => [resource.name, resource] as const)])
  return new Map([...resources, [typeUrls.assignment, all]])
}

function takeTimer(state: AdsState, id: string): void {
  const [kind = '', rest = ''] = [id.slice(0, id.indexOf(':')), id.slice(id.indexOf(':') + 1)]
  if (kind === 'bind') sideOf(state, typeUrls.listener).refused.delete(rest)
  if (kind === 'warm') state.gaveUpWaiting.add(rest)
  if (kind === 'leave') removalTimerFired(state, id)
}
