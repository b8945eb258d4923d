import { expect, it } from 'vitest'
import { run } from './run.ts'
import { summary } from './summary.ts'

/** 300 fixed seeds in two halves, because test files run in parallel. */
const seedsPerHalf = 150
const seedsPerTest = 5
/** A drawn mesh of 50 zones alone takes more than a minute on a loaded machine. */
const limitMs = 240_000
/** The minimum number of events that a run of the tests must check. */
const eventsMin = 500_000
const answersMin = 2_000

/** Runs every second seed from `first` on and counts the checked events. */
export function seedsSuite(first: 1 | 2): void {
  let events = 0
  let answers = 0
  for (let from = 0; from < seedsPerHalf; from += seedsPerTest) {
    const seeds = Array.from({ length: seedsPerTest }, (_, index) => first + 2 * (from + index))
    it(`G1 G2 G3 G4 G5 G6 G8 G9 G10 L9 L12 simulated meshes with seeds ${seeds[0]} to ${seeds.at(-1)}, every second one`, {
      timeout: limitMs,
    }, async () => {
      for (const seed of seeds) {
        const result = await run({ seed })
        events += result.events
        answers += result.queries.answered
        expect(result.violations, `${summary(result)}\nto repeat it: npm run sim -- --seed ${seed}`).toEqual([])
        expect(result.convergedMs).toBeDefined()
      }
    })
  }
  it('SM5 these seeds covered more than half a million events', () => {
    console.log(`simulated events: ${events}`)
    expect(events).toBeGreaterThan(eventsMin)
  })
  it('QX12 in these seeds planes have answered thousands of queries', () => {
    expect(answers).toBeGreaterThan(answersMin)
  })
}
