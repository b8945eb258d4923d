// npm run reference: writes docs/reference.md and docs/resources.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { loadCommands } from './command-line.ts'
import { referencePage } from './reference.ts'
import { examplesOf, resourcesPage } from './reference-resources.ts'

const page = (file: string) => new URL(`../../../${file}`, import.meta.url)
writeFileSync(page('docs/reference.md'), referencePage(await loadCommands()))
writeFileSync(
  page('docs/resources.md'),
  resourcesPage(examplesOf(readFileSync(page('docs/examples/resources.yaml'), 'utf8'))),
)
