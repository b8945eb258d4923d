import { lostLabel } from '@zonemesh/core/kinds/common.ts'
import { lostRows } from '@zonemesh/plane/status/lost.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { partsOf } from '@zonemesh/shared/sync/log/rounds.ts'

const subject = 'mesh-system:control-plane'

/**
 * Labels the rows of proxies that were lost together. A proxy that returns registers again, without the label. Throws
 * if one of them does so at the same time: no row of its part is labelled then.
 */
export async function markLost(store: Store, proxies: readonly string[]): Promise<void> {
  const changes: Change[] = []
  for (const proxy of proxies) {
    const { revision, row } = (await store.get(parseKeyText(proxy))) ?? {}
    if (revision === undefined || !row) continue
    const { key, spec } = row
    const labels = { ...row.labels, [lostLabel]: 'yes' }
    changes.push({ op: 'put', key, labels, spec, expect: { revision } })
  }
  if (changes.length === 0) return
  const intent = `${proxies.length} proxies were lost at once`
  for (const part of partsOf(changes, [], { subject, intent })) {
    const outcome = await store.commit(part)
    if (!outcome.ok) throw new Error('one of the proxies registered again at the same time')
  }
}

/** Removes the rows of all lost proxies at the request of an operator. Returns their keys. */
export async function removeLost(store: Store, zone: string): Promise<readonly string[]> {
  const keys = (await lostRows(store, zone)).map(({ key }) => key)
  if (keys.length === 0) return []
  const changes = keys.map((key): Change => ({ op: 'delete', key }))
  const intent = 'an operator removes lost proxies'
  for (const part of partsOf(changes, [], { subject, intent })) await store.commit({ ...part, declared: true })
  return keys.map(keyText)
}
