import type { Cell, Units } from '../view/units.ts'

/**
 * Parts that Envoy refused, by the row they come from. A changed part has another hash and is included again. If a row
 * puts several parts into one resource, each part has its own source: the key text of the row, a slash and the part.
 */
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
    /** Includes the part again. */
    remove: (source: string, hash: string): void =>
      set(source, new Set([...(hashesBySource.get(source) ?? none)].filter((one) => one !== hash))),
    /** Includes all parts of a row again, because the row was deleted or written. */
    drop: (row: string): void => {
      for (const source of [...hashesBySource.keys()]) if (isOfRow(source, row)) set(source, none)
    },
  }
}

/** Whether a contribution comes from the row with this key text. */
export const isOfRow = (source: string, row: string): boolean => source === row || source.startsWith(`${row}/`)

export type Exclusions = ReturnType<typeof createExclusions>
