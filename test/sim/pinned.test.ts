import { describe, expect, it } from 'vitest'
import { run } from './run.ts'
import seeds from './seeds.json' with { type: 'json' }
import { shrink } from './shrink.ts'
import { summary } from './tell.ts'

describe('seeds that failed once', () => {
  it.each(seeds)('seed $seed: $why', { timeout: 30_000 }, async ({ seed }) => {
    const result = await run({ seed })
    expect(result.violations, summary(result)).toEqual([])
  })
})

describe('the simulator itself', () => {
  it('the same seed gives the same trace, byte for byte', { timeout: 30_000 }, async () => {
    for (const seed of [7, 42]) {
      const [first, second] = [await run({ seed }), await run({ seed })]
      expect(second.trace.join('\n')).toBe(first.trace.join('\n'))
      expect(JSON.stringify(second.history)).toBe(JSON.stringify(first.history))
    }
  })

  it('shrinks a list of faults to those that matter', async () => {
    const { faults } = await run({ seed: 28 })
    const culprits = faults.filter((_, index) => index === 1 || index === faults.length - 1)
    const fewest = await shrink(faults, async (some) => culprits.every((culprit) => some.includes(culprit)))
    expect(fewest).toEqual(culprits)
  })
})
