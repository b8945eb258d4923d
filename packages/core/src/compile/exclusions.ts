import type { Cell, Units } from '../view/units.ts'

/** Parts that Envoy refused, by the row they come from. A part that changes has another hash and counts again. */
export function createExclusions(units: Units) {
  const hashesBySource = new Map<string, ReadonlySet<string>>()
  const cells = new Map<string, Cell<ReadonlySet<string>>>()
  const none: ReadonlySet<string> = new Set()

  function set(source: string, hashes: ReadonlySet<string>): void {
    if (hashes.size > 0) hashesBySource.set(source, hashes)
    else hashesBySource.delete(source)
    cells.get(source)?.write(hashes)
  }

  return {
    has(source: string, hash: string): boolean {
      let cell = cells.get(source)
      if (!cell) {
        cell = units.cell(`excluded ${source}`, hashesBySource.get(source) ?? none, () => void cells.delete(source))
        cells.set(source, cell)
      }
      return cell.read().has(hash)
    },
    add: (source: string, hash: string): void => set(source, new Set([...(hashesBySource.get(source) ?? none), hash])),
    /** It is to be tried again. */
    remove: (source: string, hash: string): void =>
      set(source, new Set([...(hashesBySource.get(source) ?? none)].filter((one) => one !== hash))),
    /** The row is gone or was written again. */
    drop: (source: string): void => {
      if (hashesBySource.has(source)) set(source, none)
    },
  }
}
export type Exclusions = ReturnType<typeof createExclusions>
