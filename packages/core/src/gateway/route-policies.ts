import type { Tags } from '../kinds/common.ts'
import { tagsText } from '../kinds/tags.ts'
import { type Connections, chooseForRoute } from '../match/connections.ts'
import { mergeRetries } from '../policies/retry/retries.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { defaultTimeouts, mergeTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** The policies that are in force for the routes of a gateway. */
export function createRoutePolicies(units: Units, view: View, connections: Connections) {
  const timeouts = units.family('gateway timeouts', (policy: string) =>
    // The empty name is no policy.
    mergeTimeouts(policy === '' ? undefined : view.row(timeout, policy)?.spec, defaultTimeouts.gateway),
  )
  const retries = units.family('gateway retries', (policy: string) =>
    mergeRetries(policy === '' ? undefined : view.row(retry, policy)?.spec),
  )

  /** The policy in force for a route that has these destinations; the empty name without one. */
  function policyOf(kind: string, mesh: string, listenerTags: Tags, destinations: readonly Tags[]): string {
    const profile = connections.profile(kind, mesh, [listenerTags])
    return chooseForRoute(destinations.flatMap((tags) => connections.chosen(profile, tagsText(tags)) ?? []))?.key ?? ''
  }

  return { timeouts, retries, policyOf }
}
export type RoutePolicies = ReturnType<typeof createRoutePolicies>
