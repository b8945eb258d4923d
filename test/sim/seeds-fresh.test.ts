import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { run } from './run.ts'
import { summary } from './summary.ts'

const seedsPerCommit = 100
const seedsPerTest = 5

/** Another hundred seeds for each commit, because fixed seeds find no new faults. */
function firstSeed(): number {
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  const seed = createHash('sha256').update(commit).digest().readUIntBE(0, 5)
  console.log(`simulated meshes of commit ${commit}: seeds ${seed} to ${seed + seedsPerCommit - 1}`)
  return seed
}

describe('simulated meshes, seeds of this commit', () => {
  const first = firstSeed()
  for (let from = first; from < first + seedsPerCommit; from += seedsPerTest) {
    it(`G1 G2 G3 G4 G5 G6 G8 G9 G10 L9 L12 simulated meshes with seeds ${from} to ${from + seedsPerTest - 1}`, {
      timeout: 180_000,
    }, async () => {
      for (let seed = from; seed < from + seedsPerTest; seed += 1) {
        const result = await run({ seed })
        expect(result.violations, `${summary(result)}\nto repeat it: npm run sim -- --seed ${seed}`).toEqual([])
        expect(result.convergedMs).toBeDefined()
      }
    })
  }
})
