import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { general, stepsOf } from './page-steps.ts'
import { temporaryFolder } from './rig.ts'
import { createShell } from './scene-folder.ts'

const folder = temporaryFolder()
const shell = createShell(folder)
let cwd = folder.path
afterAll(async () => {
  await shell('zonemesh down --delete-data', cwd)
  folder[Symbol.dispose]()
})

test('UP20 every command of the tutorial on one machine works as printed, and its output is the one that the page shows', async () => {
  for (const step of stepsOf('docs/tutorial/two-zones.md')) {
    if (step.type === 'file') {
      folder.file(join('shop', step.name), step.content)
      continue
    }
    const ran = await shell(step.commands, cwd)
    expect(ran.code, `${step.commands}\n${ran.output}`).toBe(0)
    cwd = ran.cwd
    if (step.output !== undefined) expect(general(ran.output), step.commands).toBe(general(step.output))
  }
}, 180_000)

test('UP21 the first request between zones takes at most 12 commands and 4 files of the tutorial', () => {
  const steps = stepsOf('docs/tutorial/two-zones.md')
  const first = steps.findIndex((step) => step.type === 'run' && step.commands.includes('curl'))
  const commands = steps
    .slice(0, first + 1)
    .flatMap((step) => (step.type === 'run' ? step.commands.trim().split(/\n|&&/) : []))
  // Two more: those of the installation, and the check of its version.
  expect(commands.length + 2).toBeLessThanOrEqual(12)
  expect(steps[0]).toMatchObject({ output: expect.stringMatching(/^(wrote .*\n){1,4}Start/) })
})
