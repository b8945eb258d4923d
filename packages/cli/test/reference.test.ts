import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loadCommands } from '../src/command-line.ts'
import { referencePage } from '../src/reference.ts'

test('B1 the reference page says what the commands say (npm run reference writes it)', async () => {
  const page = readFileSync(new URL('../../../docs/reference.md', import.meta.url), 'utf8')
  expect(page).toBe(referencePage(await loadCommands()))
})
