import { describe, expect, it } from 'vitest'
import type { Position } from '../../src/store/store.ts'
import { createMarks } from '../../src/sync/marks.ts'

const position = (revision: number): Position => ({ store: 's', revision, commitId: `c${revision}` })

/** A log of commits with these numbers of rows, after looks at the marks `seen`. */
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

describe('the end of a round of changes', () => {
  it('Y17 a round ends at the last mark within the row limit, and at the next mark at least', async () => {
    const marks = await marksOf([500, 500, 500, 500, 4_000, 1], [1, 2, 3, 4, 5, 6])
    expect(await throughOf(marks, 0)).toBe(3)
    expect(await throughOf(marks, 3)).toBe(4)
    expect(await throughOf(marks, 4)).toBe(5)
    expect(await throughOf(marks, 5)).toBe(6)
    expect(await throughOf(marks, 6)).toBe(6)
  })

  it('Y17 G2 a round never ends at a revision that was not seen as a mark', async () => {
    const marks = await marksOf([500, 500, 500, 500, 500], [1, 4, 5])
    expect(await throughOf(marks, 1)).toBe(4)
    expect(await throughOf(marks, 0)).toBe(1)
  })

  it('Y17 for a reader that is far behind, and for a replacement, a round ends at the newest mark', async () => {
    const rows = Array.from({ length: 100 }, () => 500)
    const marks = await marksOf(
      rows,
      rows.map((_unused, index) => index + 1),
    )
    expect(await throughOf(marks, 10)).toBe(100)
    expect(await throughOf(marks, undefined)).toBe(100)
    expect(await throughOf(marks, 90)).toBe(93)
  })

  it('Y17 a reader that is 64 commits behind gets a round of moderate size, and one at 65 gets everything', async () => {
    const rows = Array.from({ length: 100 }, () => 100)
    const marks = await marksOf(
      rows,
      rows.map((_unused, index) => index + 1),
    )
    expect(await throughOf(marks, 36)).toBe(51)
    expect(await throughOf(marks, 35)).toBe(100)
    expect(await throughOf(marks, 97)).toBe(100)
    expect(await throughOf(marks, 99)).toBe(100)
  })

  it('Y17 the newest 64 marks are remembered, however often they are read', async () => {
    const marks = await marksOf(
      Array.from({ length: 100 }, () => 2_000),
      Array.from({ length: 100 }, (_unused, index) => index + 1),
    )
    for (let look = 0; look < 100; look += 1) await marks.look()
    expect(await throughOf(marks, 36)).toBe(37)
  })

  it('Y17 a round has 1,500 rows, and with one row more it ends at the mark before', async () => {
    expect(await throughOf(await marksOf([1_000, 500, 1], [1, 2, 3]), 0)).toBe(2)
    expect(await throughOf(await marksOf([1_000, 501, 1], [1, 2, 3]), 0)).toBe(1)
  })

  it('Y17 a reader that is one commit behind needs no read of the log', async () => {
    let reads = 0
    const marks = createMarks({
      mark: async () => position(5),
      records: async () => {
        reads += 1
        return []
      },
    })
    await marks.read(4)
    expect(reads).toBe(0)
    await marks.read(3)
    expect(reads).toBe(1)
  })

  it('Y17 a mark that is older than one that was seen is not remembered, and revision 0 is a mark', async () => {
    const found = [0, 3, 2, 3]
    const marks = createMarks({
      mark: async () => position(found.shift() ?? 3),
      records: async ({ after, limit }) =>
        [1, 2, 3].slice(after, after + limit).map((revision) => {
          return { position: position(revision), subject: '', intent: '', atMs: 0, rows: 1_000 }
        }),
    })
    expect((await marks.look()).revision).toBe(0)
    await marks.look()
    await marks.look()
    // The only later mark is 3: 2 was not the newest one when it was seen.
    expect(await throughOf(marks, 0)).toBe(3)
  })
})
