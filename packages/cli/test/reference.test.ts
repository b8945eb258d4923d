import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { admit } from '@zonemesh/core/admit/admit.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { problems } from '@zonemesh/plane/api/problems.ts'
import { declarations } from '@zonemesh/plane/metrics/declarations.ts'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadCommands } from '../src/command-line.ts'
import { referencePage } from '../src/reference.ts'
import { apiPage } from '../src/reference-api.ts'
import { errorsPage } from '../src/reference-errors.ts'
import { metricsPage } from '../src/reference-metrics.ts'
import { examplesOf, resourcesPage } from '../src/reference-resources.ts'
import { schemaFiles } from '../src/reference-schemas.ts'

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

test('R84 docs/api.md has every route with its parameters, its body and its callers, as the routes are declared', () => {
  expect(page('docs/api.md')).toBe(apiPage())
})

test('R85 docs/errors.md has every refusal of the API and every exit code, and each of them occurs in the source', () => {
  expect(page('docs/errors.md')).toBe(errorsPage())
  const folder = new URL('../../plane/src/api/', import.meta.url)
  const source = readdirSync(folder)
    .filter((name) => name !== 'problems.ts')
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  // The type of ApiError admits no other pair of status and title. A status of 400 or 404 may be that of a function.
  const functions: Record<number, string> = {
    400: 'invalid|badRequest|listTitle|title',
    404: 'notFound',
    503: 'unavailable',
  }
  const unused = problems.filter(({ status, title }) => {
    const here = new RegExp(`(ApiError\\(\\s*${status},\\s*|(${functions[status] ?? 'none'})( = |\\().*)'${title}'`)
    return !here.test(source)
  })
  expect(unused).toEqual([])
})

test('MT2 docs/metrics.md lists each metric once, as it is declared', () => {
  expect(page('docs/metrics.md')).toBe(metricsPage())
  const listed = [...page('docs/metrics.md').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  expect(listed.sort()).toEqual(Object.keys(declarations).sort())
})

test('GD3 docs/schemas has the schemas of resources and scenes, and each example names the one for editors', () => {
  for (const [file, text] of schemaFiles()) expect(page(file), file).toBe(text)
  const root = new URL('../../../', import.meta.url)
  const scenes = readdirSync(new URL('scenes', root), { recursive: true, encoding: 'utf8' })
  const examples = [
    ...['demo/scene.yaml', 'docs/examples/resources.yaml'],
    ...scenes.filter((name) => name.endsWith('.yaml')).map((name) => `scenes/${name}`),
  ]
  const unnamed = examples.filter((file) => {
    const [, schema = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(page(file)) ?? []
    // `zonemesh init` writes the schemas beside a scene.
    const isOfScene = /^(\.\.\/)?\.zonemesh\/(scene|resources)\.schema\.json$/.test(schema)
    return schema === '' || !(isOfScene || existsSync(new URL(schema, new URL(file, root))))
  })
  expect(unnamed).toEqual([])
  expect(examples.length).toBeGreaterThan(15)
})

test('GD4 docs/README.md links every page of docs', () => {
  const root = new URL('../../../docs/', import.meta.url)
  const pages = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => /\.md$/.test(name))
  const linked = new Set([...page('docs/README.md').matchAll(/\]\(([^)#]+)/g)].map(([, path]) => path))
  expect(pages.filter((name) => name !== 'README.md' && !linked.has(name))).toEqual([])
})
