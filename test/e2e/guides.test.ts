import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createMachine } from './machines.ts'
import { startDatabase } from './page-database.ts'
import { runPage } from './page-steps.ts'
import { root } from './rig.ts'

const pages = readdirSync(join(root, 'docs/guides'))
  .map((name) => join('docs/guides', name))
  .sort()

test.each(pages)(
  'GD1 every command of the guide %s works as printed, and its output is the one that the page shows',
  async (page) => {
    await using machine = await createMachine()
    await using _database = page === 'docs/guides/postgresql.md' ? await startDatabase(machine) : undefined
    await runPage(page, () => machine)
  },
  120_000,
)

test('GD1 there are guides', () => {
  expect(pages.length).toBeGreaterThan(0)
})
