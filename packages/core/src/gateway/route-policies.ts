import { because } from '../kinds/because.ts'
import type { MeshName } from '../kinds/identities.ts'
import type { TagSet } from '../kinds/tags.ts'
import { type Connections, chooseForRoute } from '../match/connections.ts'
import { mergeRetries } from '../policies/retry/retries.ts'
import { retry } from '../policies/retry/retry.ts'
import { timeout } from '../policies/timeout/timeout.ts'
import { defaultTimeouts, mergeTimeouts } from '../policies/timeout/timeouts.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** The policies that are in force for the routes of a gateway. */
export function createRoutePolicies(units: Units, view: View, connections: Connections) {
  const timeouts = units.family('gateway timeouts', (policy: string | undefined) => ({
    ...mergeTimeouts(policy === undefined ? undefined : view.row(timeout, policy)?.spec, defaultTimeouts.gateway),
    because: because(policy),
  }))
  const retries = units.family('gateway retries', (policy: string | undefined) => ({
    ...mergeRetries(policy === undefined ? undefined : view.row(retry, policy)?.spec),
    because: because(policy),
  }))

  /** The policy in force for a route that has these destinations. */
  function policyOf(
    kind: string,
    mesh: MeshName,
    listener: TagSet,
    destinations: readonly TagSet[],
  ): string | undefined {
    const profile = connections.profile(kind, mesh, [listener])
    return chooseForRoute(destinations.flatMap((tags) => connections.chosen(profile, tags) ?? []))?.key
  }

  return { timeouts, retries, policyOf }
}
export type RoutePolicies = ReturnType<typeof createRoutePolicies>
