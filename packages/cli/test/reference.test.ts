import { readFileSync } from 'node:fs'
import { admit } from '@zonemesh/core/admit/admit.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadCommands } from '../src/command-line.ts'
import { referencePage } from '../src/reference.ts'
import { examplesOf, resourcesPage } from '../src/reference-resources.ts'

const page = (file: string): string => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

test('B1 docs/reference.md matches the settings and texts of the commands', async () => {
  expect(page('docs/reference.md')).toBe(referencePage(await loadCommands()))
})

test('B1 docs/resources.md matches the schemas, and has an example of each kind that admission accepts', () => {
  const examples = examplesOf(page('docs/examples/resources.yaml'))
  expect([...examples.keys()].sort()).toEqual(publicKinds.map(({ name }) => name).sort())
  for (const [kind, text] of examples) {
    const admitted = admit(parse(text))
    expect(admitted.ok ? [] : admitted.error, kind).toEqual([])
  }
  expect(page('docs/resources.md')).toBe(resourcesPage(examples))
})
