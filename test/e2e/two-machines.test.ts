import { afterAll, beforeAll, test } from 'vitest'
import { type Machines, startMachines } from './machines.ts'
import { runPage } from './page-steps.ts'

let machines: Machines
beforeAll(async () => {
  machines = await startMachines(['a', 'b'])
})
afterAll(() => machines[Symbol.asyncDispose]())

test('UP22 every command of the tutorial on two machines works as printed, and its output is the one that the page shows', async () => {
  await runPage('docs/tutorial/two-machines.md', machines.get)
}, 180_000)
