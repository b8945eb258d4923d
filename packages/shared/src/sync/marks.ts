import type { Position, Store } from '../store/store.ts'

/** About how many rows a round of changes has at most, if there are marks at which it can end earlier. */
const roundRowsMax = 1_500
/** A reader that is further behind gets everything in one round, with only the newest version of each row. */
const commitsMax = 64

export interface Marks {
  /** There may be a newer mark. */
  look(): Promise<Position>
  /** The newest mark, and the mark at which a round that starts after a revision should end. */
  read(after: number | undefined): Promise<{ readonly mark: Position; readonly through: Position }>
}

/**
 * The marks that were read lately. If each round ended at the newest mark, the first changes in it would wait for all
 * later ones. A reader that is nearly up to date therefore gets rounds of moderate size. Limit: 64 marks, the oldest
 * are dropped.
 */
export function createMarks(store: Pick<Store, 'mark' | 'records'>): Marks {
  const seen: Position[] = []

  async function look(): Promise<Position> {
    const mark = await store.mark()
    if (mark.revision > (seen.at(-1)?.revision ?? -1)) seen.push(mark)
    if (seen.length > commitsMax) seen.shift()
    return mark
  }

  async function read(after: number | undefined) {
    const mark = await look()
    if (after === undefined || mark.revision - after < 2 || mark.revision - after > commitsMax)
      return { mark, through: mark }
    const reachable = seen.filter(({ revision }) => revision > after && revision <= mark.revision)
    let through = reachable[0] ?? mark
    let rows = 0
    for (const record of await store.records({ after, limit: mark.revision - after })) {
      rows += record.rows
      if (rows > roundRowsMax) break
      through = reachable.find(({ revision }) => revision === record.position.revision) ?? through
    }
    return { mark, through }
  }

  return { look, read }
}
