import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { describe, expect, it } from 'vitest'
import { costs } from './costs.ts'
import { type BookmarkLevels, bookmarkBytes, bookmarkBytesByEncoder } from './frames.ts'
import { run } from './model.ts'
import { firstLimit, scaleCells, shapesOf } from './report.ts'

const small = { zones: 40, dataplanes: 4_000, changesPerSecond: 20, fanOut: 8, shards: 1, seconds: 4, seed: 7 }
const textOf = (options: typeof small) => {
  const shapes = shapesOf(options, costs)
  return [...shapes.map(scaleCells), ...shapes.map(firstLimit)].join('\n')
}

describe('the model of a fleet', () => {
  it('SM7 the same seed gives the same output, and another seed gives another one', () => {
    expect(textOf(small)).toBe(textOf(small))
    expect(textOf({ ...small, seed: 8 })).not.toBe(textOf(small))
  })

  it('SM7 the sizes of bookmarks are those of the encoder', () => {
    const random = createSeededRandom(3)
    const drawn = () => Math.floor(2 ** (random.fraction() * 40)) - 1
    for (let round = 0; round < 200; round += 1) {
      const levels: BookmarkLevels = {
        ...{ number: drawn(), sent: drawn(), stored: drawn(), served: drawn(), rows: drawn(), rowBytes: drawn() },
      }
      expect([levels, bookmarkBytes(levels)]).toEqual([levels, bookmarkBytesByEncoder(levels)])
    }
  })

  it.each([
    [undefined, 0, 1],
    [8, 5, 2],
    [4, 15, 3],
  ])(
    'SM7 with a fan-out of %s there are %i relays on %i levels, and each change reaches every zone',
    (fanOut, relays, depth) => {
      const result = run({ ...small, fanOut, isEndless: false }, costs)
      expect([result.relays, result.depth]).toEqual([relays, depth])
      expect(result.lagsMs.length).toBeGreaterThan(8)
      expect(result.lagsMs.every((lagMs) => lagMs > costs.lineMs && lagMs < 2_000)).toBe(true)
      const children = result.processes.map((process) => process.children)
      expect(children.reduce((sum, count) => sum + count, 0)).toBe(small.zones + relays)
      expect(Math.max(...children)).toBeLessThanOrEqual(fanOut ?? small.zones)
    },
  )

  it('SM7 a global whose work takes longer than a second per second is exhausted, and its lag grows', () => {
    const slow = { ...costs, wakeMs: 5 }
    const [one] = shapesOf(small, slow)
    expect(one?.cores).toBeGreaterThan(1)
    expect(one?.shares[0]?.resource).toBe('CPU')
    expect(one && firstLimit(one)).toMatch(/^global: exhausted: CPU at \d+ % of 1 core/)
    expect(one?.lagMs.p50).toBeGreaterThan(3 * (shapesOf(small, costs)[0]?.lagMs.p50 ?? 0))
  })

  it('SM7 shards divide changes and rows, and each of them has all zones', () => {
    const [one] = shapesOf(small, costs)
    const [shard] = shapesOf({ ...small, shards: 4 }, costs)
    expect(shard?.processes).toBe(4)
    expect(shard?.cores).toBeLessThan((one?.cores ?? 0) / 2)
    const zones = (costs.zoneKiB * small.zones) / 1024
    expect(shard?.heapMiB).toBeGreaterThan(costs.baseMiB + zones)
    expect(shard?.heapMiB).toBeLessThan(one?.heapMiB ?? 0)
  })
})
