import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMachine, type Machine } from './machines.ts'
import { runPage, stepsOf } from './page-steps.ts'

// The page kills the global by the name of its folder, and the scenes of other tests have such a folder as well.
let machine: Machine
beforeAll(async () => {
  machine = await createMachine()
})
afterAll(() => machine[Symbol.asyncDispose]())

test('UP20 every command of the tutorial on one machine works as printed, and its output is the one that the page shows', async () => {
  await runPage('docs/tutorial/two-zones.md', () => machine)
}, 180_000)

test('UP21 the first request between zones takes at most 12 commands and 4 files of the tutorial', () => {
  const steps = stepsOf('docs/tutorial/two-zones.md')
  const first = steps.findIndex((step) => step.type === 'run' && step.commands.includes('curl'))
  const commands = steps
    .slice(0, first + 1)
    .flatMap((step) => (step.type === 'run' ? step.commands.trim().split(/\n|&&/) : []))
  // Two more: those of the installation, and the check of its version.
  expect(commands.length + 2).toBeLessThanOrEqual(12)
  expect(steps[0]).toMatchObject({ output: { text: expect.stringMatching(/^(wrote .*\n){1,4}Start/) } })
})
