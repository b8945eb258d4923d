import { lostLabel } from '@zonemesh/core/kinds/common.ts'
import { proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'

/** The id of the hold that an operator releases to remove the lost proxies of a zone. */
export const lostHoldId = 'lost-proxies'

/** The rows of the lost proxies of a zone, which are kept until an operator removes them. */
export async function lostRows(store: Store, zone: string): Promise<readonly Row[]> {
  const found = await Promise.all([...proxyKinds].map((kind) => store.scan({ kind, origin: zone })))
  return found.flat().filter(({ labels }) => labels[lostLabel] !== undefined)
}

/** Whether a release is for lost proxies: it names their hold, or it names none and the zone holds nothing else. */
export const isForLost = (held: Hold | undefined, requested: string | undefined): boolean =>
  requested === lostHoldId || (held === undefined && requested === undefined)

/** A number of lost proxies as a hold of a zone. */
export const lostHold = (zone: string, proxies: number): Hold => ({
  id: lostHoldId,
  origin: zone,
  reason: `${proxies} ${proxies === 1 ? 'proxy was' : 'proxies were'} lost at once and did not return`,
  removals: proxies,
})
