import { lostLabel } from '@zonemesh/core/kinds/common.ts'
import { lostRows } from '@zonemesh/plane/status/lost.ts'
import { keyText, parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'

/** As many changes as one commit takes. */
const changesMax = 1_000
const subject = 'mesh-system:control-plane'

function chunksOf<T>(all: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / changesMax) }, (_unused, index) =>
    all.slice(index * changesMax, (index + 1) * changesMax),
  )
}

/**
 * Labels the rows of proxies that were lost together. A proxy that returns registers anew, without the label. Throws if
 * one of them does so at this moment: nothing of its part of the rows is labelled then.
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
  for (const part of chunksOf(changes)) {
    const outcome = await store.commit({
      changes: part,
      subject,
      intent: `${proxies.length} proxies were lost at once`,
    })
    if (!outcome.ok) throw new Error('a proxy registered anew at the same time')
  }
}

/** Removes them, because an operator wants it. Returns their keys. */
export async function removeLost(store: Store, zone: string): Promise<readonly string[]> {
  const keys = (await lostRows(store, zone)).map(({ key }) => key)
  for (const part of chunksOf(keys)) {
    const changes = part.map((key): Change => ({ op: 'delete', key }))
    await store.commit({ changes, subject, intent: 'an operator removes lost proxies', declared: true })
  }
  return keys.map(keyText)
}
