import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createMachine } from './machines.ts'
import { runPage } from './page-steps.ts'
import { root } from './rig.ts'

const pages = readdirSync(join(root, 'docs/guides')).sort()

test.each(pages)(
  'GD1 every command of the guide %s works as printed, and its output is the one that the page shows',
  async (page) => {
    await using machine = await createMachine()
    await runPage(join('docs/guides', page), () => machine)
  },
  120_000,
)

test('GD1 there are guides', () => {
  expect(pages.length).toBeGreaterThan(0)
})
