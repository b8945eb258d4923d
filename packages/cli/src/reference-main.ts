// npm run reference: writes docs/reference.md, docs/resources.md, docs/api.md, docs/errors.md, docs/metrics.md and
// docs/schemas.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { loadCommands } from './command-line.ts'
import { referencePage } from './reference.ts'
import { apiPage } from './reference-api.ts'
import { errorsPage } from './reference-errors.ts'
import { metricsPage } from './reference-metrics.ts'
import { examplesOf, resourcesPage } from './reference-resources.ts'
import { schemaFiles } from './reference-schemas.ts'

const page = (file: string) => new URL(`../../../${file}`, import.meta.url)
writeFileSync(page('docs/reference.md'), referencePage(await loadCommands()))
writeFileSync(
  page('docs/resources.md'),
  resourcesPage(examplesOf(readFileSync(page('docs/examples/resources.yaml'), 'utf8'))),
)
writeFileSync(page('docs/api.md'), apiPage())
writeFileSync(page('docs/errors.md'), errorsPage())
writeFileSync(page('docs/metrics.md'), metricsPage())
mkdirSync(page('docs/schemas'), { recursive: true })
for (const [file, text] of schemaFiles()) writeFileSync(page(file), text)
