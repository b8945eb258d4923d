import type { Latest } from '@zonemesh/shared/streams/latest.ts'

/** The names that one proxy resolves at one revision, with the addresses for this proxy. */
export interface NamesTable {
  /** The store of the revisions. If it changes, the proxy needs a reset. */
  readonly store: string
  readonly revision: number
  readonly ttlSeconds: number
  readonly domain: string
  readonly addressesByName: ReadonlyMap<string, readonly string[]>
}

export interface NamesFeed {
  readonly names: Latest<NamesTable | undefined>
  close(): void
}

export interface NamesDifference {
  readonly reset: boolean
  readonly changed: readonly { readonly name: string; readonly addresses: readonly string[] }[]
  readonly removed: readonly string[]
}

/** The difference for a proxy that has `before`; a reset if that is unknown. */
export function namesDifference(before: NamesTable | undefined, after: NamesTable): NamesDifference {
  const changed = []
  for (const [name, addresses] of after.addressesByName) {
    const old = before?.addressesByName.get(name)
    if (old === addresses || old?.join() === addresses.join()) continue
    changed.push({ name, addresses })
  }
  const removed = [...(before?.addressesByName.keys() ?? [])].filter((name) => !after.addressesByName.has(name))
  return { reset: before === undefined, changed, removed }
}
