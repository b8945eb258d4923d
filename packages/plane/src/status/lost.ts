import { lostLabel } from '@zonemesh/core/kinds/common.ts'
import { proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'

/** What an operator names to remove the lost proxies of a zone. */
export const lostHoldId = 'lost-proxies'

/** The rows of proxies of a zone that were lost with many others and are kept until an operator removes them. */
export async function lostRows(store: Store, zone: string): Promise<readonly Row[]> {
  const found = await Promise.all([...proxyKinds].map((kind) => store.scan({ kind, origin: zone })))
  return found.flat().filter(({ labels }) => labels[lostLabel] !== undefined)
}

/** Whether a release means lost proxies: they are named, or nothing else is held. */
export const meansLost = (held: Hold | undefined, wanted: string | undefined): boolean =>
  wanted === lostHoldId || (held === undefined && wanted === undefined)

/** So many lost proxies, as something that a zone holds until an operator releases it. */
export const lostHold = (zone: string, proxies: number): Hold => ({
  id: lostHoldId,
  origin: zone,
  reason: `${proxies} ${proxies === 1 ? 'proxy was' : 'proxies were'} lost at once and did not return`,
  removals: proxies,
})
