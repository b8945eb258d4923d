import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Machines, startMachines } from './machines.ts'
import { general, stepsOf } from './page-steps.ts'

let machines: Machines
beforeAll(async () => {
  machines = await startMachines('zonemesh', ['a', 'b'])
})
afterAll(() => machines.close())

test('UP22 every command of the tutorial on two machines works as printed, and its output is the one that the page shows', async () => {
  for (const step of stepsOf('docs/tutorial/two-machines.md')) {
    const { folder, shell } = machines.get(step.machine)
    if (step.type === 'file') {
      folder.file(step.name, step.content)
      continue
    }
    const ran = await shell(step.commands, folder.path)
    expect(ran.code, `${step.commands}\n${ran.output}`).toBe(0)
    if (step.output !== undefined) expect(general(ran.output), step.commands).toBe(general(step.output))
  }
}, 180_000)
