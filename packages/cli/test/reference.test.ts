import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loadCommands } from '../src/command-line.ts'
import { referencePage } from '../src/reference.ts'

test('B1 docs/reference.md matches the settings and texts of the commands', async () => {
  const page = readFileSync(new URL('../../../docs/reference.md', import.meta.url), 'utf8')
  expect(page).toBe(referencePage(await loadCommands()))
})
