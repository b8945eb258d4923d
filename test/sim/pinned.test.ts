import { describe, expect, it } from 'vitest'
import type { Fault } from './faults.ts'
import { run } from './run.ts'
import pinned from './seeds.json' with { type: 'json' }
import { shrink } from './shrink.ts'
import { summary } from './summary.ts'

/** Without faults, the seed draws them. */
interface Pinned {
  readonly seed: number
  readonly why: string
  readonly faults?: readonly Fault[]
}
// The file is written by hand in this shape.
const seeds = pinned as readonly Pinned[]

describe('seeds that failed in the past', () => {
  it.each(seeds)('SM1 seed $seed: $why', { timeout: 120_000 }, async ({ seed, faults }) => {
    const result = await run(faults ? { seed, faults, zones: 2, queries: false } : { seed, queries: false })
    expect(result.violations, summary(result)).toEqual([])
  })
})

describe('the simulator', () => {
  it('SM2 the same seed gives the same trace, byte for byte', { timeout: 120_000 }, async () => {
    for (const seed of [7, 42]) {
      const [first, second] = [await run({ seed }), await run({ seed })]
      expect(second.trace.join('\n')).toBe(first.trace.join('\n'))
      expect(JSON.stringify(second.history)).toBe(JSON.stringify(first.history))
    }
  })

  it('SM3 a list of faults is reduced to those that matter', async () => {
    const { faults } = await run({ seed: 28 })
    const culprits = faults.filter((_, index) => index === 1 || index === faults.length - 1)
    const fewest = await shrink(faults, async (some) => culprits.every((culprit) => some.includes(culprit)))
    expect(fewest).toEqual(culprits)
  })
})
