import { expect, test } from 'vitest'
import { createVirtualClock } from '../../src/env/clock.ts'
import { createSeededRandom } from '../../src/env/random.ts'
import { HorizonError } from '../../src/store/errors.ts'
import { createMemoryStore } from '../../src/store/memory.ts'
import { createSharedReads } from '../../src/sync/shared-reads.ts'

/** Reads that count how often the store was read. */
function createReads() {
  const store = createMemoryStore({ clock: createVirtualClock(), random: createSeededRandom(1) })
  const ranges: string[] = []
  let fault: Error | undefined
  const { changesSince } = createSharedReads({
    ...store,
    async changesSince(after, through, options) {
      ranges.push(`${after}-${through}`)
      if (fault) throw fault
      return store.changesSince(after, through, options)
    },
  })
  return {
    changesSince,
    ranges,
    setFault(next: Error | undefined) {
      fault = next
    },
  }
}

test('L8 zones at the same position share one read, and each other page is read by itself', async () => {
  const { changesSince, ranges } = createReads()
  const page = { limit: 5, resume: '1/a', origin: 'west' }
  const pages = [
    [1, 2, page],
    [0, 2, page],
    [1, 3, page],
    [1, 2, { ...page, limit: 6 }],
    [1, 2, { ...page, resume: '1/b' }],
    [1, 2, { ...page, origin: 'east' }],
    [1, 2, undefined],
  ] as const
  for (const [after, through, options] of [...pages, ...pages]) await changesSince(after, through, options)
  expect(ranges).toHaveLength(pages.length)
})

test('L8 the last 16 pages are kept', async () => {
  const { changesSince, ranges } = createReads()
  for (let through = 1; through <= 16; through += 1) await changesSince(0, through)
  await changesSince(0, 1)
  expect(ranges).toHaveLength(16)
  await changesSince(0, 17)
  await changesSince(0, 2)
  expect(ranges).toHaveLength(17)
  await changesSince(0, 1)
  expect(ranges).toHaveLength(18)
})

test('Y19 a read that failed is repeated by the next caller', async () => {
  const { changesSince, ranges, setFault } = createReads()
  setFault(new HorizonError(0, 5))
  await expect(changesSince(0, 1)).rejects.toThrow(HorizonError)
  setFault(undefined)
  expect(await changesSince(0, 1)).toEqual({ versions: [] })
  expect(ranges).toHaveLength(2)
})
