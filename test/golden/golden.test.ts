import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { unifiedDiff } from '@zonemesh/cli/output/unified-diff.ts'
import { shortHash } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { allPrintedFiles, type GoldenCase, goldenCases } from './cases.ts'
import { printJson, withoutBase } from './print.ts'
import { type Compiled, compileScene } from './zones.ts'

// Pairs of YAML and what one proxy gets of it: the compiled model, and Envoy's configuration. `npm run golden` writes what is
// compiled now over them: read the difference before you commit it.

const here = import.meta.dirname
const isUpdate = process.env['UPDATE_GOLDEN'] === '1'

/** The text of a file is what is written down, or what it is from now on. */
function expectGolden(file: string, text: string): void {
  const path = join(here, file)
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (before === text) return
  if (isUpdate) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    return
  }
  const lines = unifiedDiff(before.split('\n'), text.split('\n'))
  const remedy = 'If the change is intended, run "npm run golden", read "git diff test/golden", and commit it.'
  expect.fail([`test/golden/${file} (-) is not what is compiled now (+). ${remedy}`, ...lines].join('\n'))
}

const compiled = ({ documents, proxy }: GoldenCase): Compiled | undefined => compileScene(documents, [proxy])[proxy]

/** What a proxy has, without what the base has alike: section by section, for a name means a cluster in one and its endpoints in another. */
function shown(golden: GoldenCase): unknown {
  const own = compiled(golden)
  const based = goldenCases.find(({ name }) => name === golden.base)
  if (!own || !based) return { proxy: golden.proxy, ...own }
  const other = compiled(based)
  const sections = (side: 'model' | 'envoy') =>
    Object.fromEntries(
      Object.entries(own[side]).map(([section, parts]) => [
        section,
        withoutBase(parts, other?.[side][section], `as in ${based.name}`),
      ]),
    )
  return { proxy: golden.proxy, ...own, model: sections('model'), envoy: sections('envoy') }
}

/** For each part of Envoy's configuration its length and its hash. */
function digested({ proxy, ...golden }: GoldenCase): unknown {
  const envoy = compiled({ proxy, ...golden })?.envoy ?? {}
  const digest = (value: unknown): string => {
    const text = printJson(value)
    return `${text.length} bytes, ${shortHash(text)}`
  }
  const parts = (section: unknown): Record<string, unknown> =>
    Object.fromEntries(Object.entries(section ?? {}).map(([name, part]) => [name, digest(part)]))
  return { proxy, envoy: Object.fromEntries(Object.entries(envoy).map(([type, section]) => [type, parts(section)])) }
}

test.each(goldenCases)('GF1 the configuration of a proxy equals its golden file: $name', (golden) => {
  if (golden.written) {
    const head = `# Made of the feature "${golden.name.split('/')[1]}" of test/conformance/gateway by npm run golden.\n`
    expectGolden(`${golden.name}.yaml`, head + golden.written.map((document) => stringify(document)).join('---\n'))
  }
  expectGolden(`${golden.name}.json`, printJson(golden.digest ? digested(golden) : shown(golden)))
})

test('GF2 every golden file has its case, and every printed document is part of one', () => {
  const found = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json'))
  expect(found.sort()).toEqual(goldenCases.map(({ name }) => `${name}.json`).sort())
  expect(readdirSync(join(here, '../conformance/documents')).sort()).toEqual(allPrintedFiles)
})
