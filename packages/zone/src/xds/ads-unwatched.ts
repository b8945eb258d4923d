import { type TypeUrl, typeUrls } from '@zonemesh/core/emit/table.ts'
import { retract } from '@zonemesh/shared/delta/delta.ts'
import { type AdsState, isWildcardType, sideOf } from './ads-state.ts'

/**
 * X25: Envoy drops responses of a type without a watch, and sends no ack. Assignments, routes and secrets are sent
 * after the cluster or listener that needs them. If Envoy refuses that resource and has never subscribed to the type,
 * it drops them. They will never have a verdict, so they count as not sent.
 */
export function retractUnwatched(state: AdsState): void {
  for (const [typeUrl, side] of state.sides) {
    if (side.open || isWildcardType(typeUrl) || side.pending.size === 0) continue
    const watched = watchedNames(state, typeUrl)
    for (const [nonce, { changed }] of side.pending)
      if (!changed.some(({ name }) => watched.has(name))) retract(side, nonce)
  }
}

/**
 * X25: Envoy answers in order within a type, so it has dropped every response that is older than one with a verdict.
 */
export function retractOlder(state: AdsState, typeUrl: TypeUrl, nonce: string): void {
  const side = sideOf(state, typeUrl)
  if (!side.pending.has(nonce)) return
  for (const older of [...side.pending.keys()]) {
    if (older === nonce) return
    retract(side, older)
  }
}

/**
 * The names of a type that Envoy watches, or will watch when it accepts the pending responses. A cluster or listener
 * of a refused response does not count: it is sent again, or is no longer in the table.
 */
function watchedNames(state: AdsState, typeUrl: TypeUrl): ReadonlySet<string> {
  const names = new Set<string>()
  for (const user of [typeUrls.cluster, typeUrls.listener]) {
    const { held, pending } = sideOf(state, user)
    const users = [...held.values(), ...[...pending.values()].flatMap(({ changed }) => changed)]
    for (const { assignment, secrets = [], routes = [] } of users) {
      if (typeUrl === typeUrls.assignment && assignment !== undefined) names.add(assignment)
      if (typeUrl === typeUrls.secret) for (const name of secrets) names.add(name)
      if (typeUrl === typeUrls.route) for (const name of routes) names.add(name)
    }
  }
  return names
}
