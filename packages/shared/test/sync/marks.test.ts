import { describe, expect, it } from 'vitest'
import type { Position } from '../../src/store/store.ts'
import { createMarks } from '../../src/sync/marks.ts'

const position = (revision: number): Position => ({ store: 's', revision, commitId: `c${revision}` })

/** A log of commits of so many rows each, of which the marks of some were seen. */
async function marksOf(rows: readonly number[], seen: readonly number[]) {
  let newest = 0
  const records = rows.map((count, index) => {
    return { position: position(index + 1), subject: '', intent: '', atMs: 0, rows: count }
  })
  const marks = createMarks({
    mark: async () => position(newest),
    records: async ({ after, limit }) => records.slice(after, after + limit),
  })
  for (const revision of seen) {
    newest = revision
    await marks.look()
  }
  return marks
}
const throughOf = async (marks: Awaited<ReturnType<typeof marksOf>>, after: number | undefined) =>
  (await marks.read(after)).through.revision

describe('where a round of changes ends', () => {
  it('in the last mark that is not too many rows away, and at least in the next one', async () => {
    const marks = await marksOf([500, 500, 500, 500, 4_000, 1], [1, 2, 3, 4, 5, 6])
    expect(await throughOf(marks, 0)).toBe(3)
    expect(await throughOf(marks, 3)).toBe(4)
    expect(await throughOf(marks, 4)).toBe(5)
    expect(await throughOf(marks, 5)).toBe(6)
    expect(await throughOf(marks, 6)).toBe(6)
  })

  it('G2 never inside of a round: a revision that was not seen as a mark ends none', async () => {
    const marks = await marksOf([500, 500, 500, 500, 500], [1, 4, 5])
    expect(await throughOf(marks, 1)).toBe(4)
    expect(await throughOf(marks, 0)).toBe(1)
  })

  it('in the newest mark for who is far behind, and where a round is a replacement', async () => {
    const rows = Array.from({ length: 100 }, () => 500)
    const marks = await marksOf(
      rows,
      rows.map((_unused, index) => index + 1),
    )
    expect(await throughOf(marks, 10)).toBe(100)
    expect(await throughOf(marks, undefined)).toBe(100)
    expect(await throughOf(marks, 90)).toBe(93)
  })
})
