import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'

/** Compares keys in the order of lists: by mesh, then name, then origin. */
export const compareKeys = (a: ResourceKey, b: ResourceKey): number =>
  byCodeUnit(a.mesh, b.mesh) || byCodeUnit(a.name, b.name) || byCodeUnit(a.origin, b.origin)

/** The first index whose key is not before the sought place, by binary search. */
function firstIndex(keys: readonly ResourceKey[], isBefore: (key: ResourceKey) => boolean): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const key = keys[middle]
    if (key && isBefore(key)) low = middle + 1
    else high = middle
  }
  return low
}

/** Above this number of changes at once, all keys are sorted again. */
const bulkChanges = 500

/** The keys of one kind in the order of lists. A single change moves the keys behind it and does not sort. */
export function createSortedKeys() {
  let keys: ResourceKey[] = []
  const indexOf = (key: ResourceKey): number => firstIndex(keys, (candidate) => compareKeys(candidate, key) < 0)

  function put(key: ResourceKey, isLive: boolean): void {
    const index = indexOf(key)
    const found = keys[index]
    const isHere = found !== undefined && compareKeys(found, key) === 0
    if (isLive && !isHere) keys.splice(index, 0, key)
    if (!isLive && isHere) keys.splice(index, 1)
  }

  return {
    /** Replaces all keys. */
    load(all: Iterable<ResourceKey>): void {
      keys = [...all].sort(compareKeys)
    },
    /** Adds the keys of live rows, and removes the keys of other rows. */
    change(changes: readonly { readonly key: ResourceKey; readonly isLive: boolean }[]): void {
      if (changes.length <= bulkChanges) {
        for (const { key, isLive } of changes) put(key, isLive)
        return
      }
      const byText = new Map(keys.map((key) => [keyText(key), key]))
      for (const { key, isLive } of changes) {
        if (isLive) byText.set(keyText(key), key)
        else byText.delete(keyText(key))
      }
      keys = [...byText.values()].sort(compareKeys)
    },
    /** The keys in one mesh, or in all. */
    range(mesh: string | undefined): { readonly total: number; slice(offset: number, size: number): ResourceKey[] } {
      const from = mesh === undefined ? 0 : firstIndex(keys, (candidate) => candidate.mesh < mesh)
      const below = mesh === undefined ? keys.length : firstIndex(keys, (candidate) => candidate.mesh <= mesh)
      return {
        total: below - from,
        slice: (offset, size) => keys.slice(from + offset, Math.min(below, from + offset + size)),
      }
    },
    /** The keys with one mesh and name, of all owners. */
    named(mesh: string, name: string): ResourceKey[] {
      const at = { origin: '', kind: '', mesh, name }
      const found: ResourceKey[] = []
      for (let index = indexOf(at); ; index += 1) {
        const key = keys[index]
        if (key?.mesh !== mesh || key.name !== name) return found
        found.push(key)
      }
    },
  }
}
export type SortedKeys = ReturnType<typeof createSortedKeys>
