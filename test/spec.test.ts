import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { isNode, parse, type SyntaxNode } from './syntax.ts'

/**
 * SPEC.md and the catalogue of faults in docs/guarantees.md are tables with one rule per line: number, rule, links to its tests. The
 * title of each test begins with the numbers of its rules.
 */
const root = resolve(import.meta.dirname, '..')
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['gen', 'node_modules'].includes(entry.name) ? [] : filesBelow(path, ending)
    return path.endsWith(ending) ? [path] : []
  })
}

const packages = readdirSync(join(root, 'packages'))
const sourceFiles = ['test', 'packages', 'packaging'].flatMap((folder) => filesBelow(folder, '.ts'))
const testFiles = sourceFiles.filter((path) => /^(test|packages\/[a-z]+\/test)\//.test(path))

interface Title {
  readonly file: string
  readonly numbers: readonly string[]
  /** The title without its numbers. "…" stands for a value of a case table. */
  readonly text: string
}

/** The name at the root of a callee: "test" for `test.each(cases)`. */
function calleeName(node: unknown): string | undefined {
  if (!isNode(node)) return undefined
  switch (node.type) {
    case 'Identifier':
      return String(node['name'])
    case 'MemberExpression':
      return calleeName(node['object'])
    case 'CallExpression':
      return calleeName(node['callee'])
    default:
      return undefined
  }
}

function titleIn(file: string, title: SyntaxNode, code: string): Title {
  const written = code.slice(title.start, title.end)
  const isText = title.type === 'TemplateLiteral' || typeof title['value'] === 'string'
  if (!isText) throw new Error(`${file}: the title of a test must be a text, and not ${written}`)
  const text = written
    .slice(1, -1)
    .replace(/\\(.)/g, '$1')
    .replace(/\$\{[^}]*\}|\$[a-z]+|%[a-z]/g, '…')
  const [numbers = ''] = /^([A-Z]{1,2}\d+ )*/.exec(text) ?? []
  return { file, numbers: numbers.split(' ').filter(Boolean), text: text.slice(numbers.length) }
}

function titlesIn(file: string): readonly Title[] {
  const code = textOf(file)
  const found: Title[] = []
  const visit = (node: SyntaxNode): void => {
    const { callee, arguments: given } = node
    if (node.type === 'CallExpression' && Array.isArray(given) && given.length > 1 && isNode(given[0])) {
      if (['test', 'it'].includes(calleeName(callee) ?? '')) found.push(titleIn(file, given[0], code))
    }
    for (const value of Object.values(node))
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child)
  }
  visit(parse(code))
  return found
}

interface Rule {
  readonly number: string
  readonly text: string
  readonly tests: readonly { readonly file: string; readonly title: string }[]
}

/** The rows of the tables of a document whose first cell is a number. The last cell of a row has the links. */
function rulesIn(document: string, numbers: RegExp): readonly Rule[] {
  const rows = [...textOf(document).matchAll(/^\| ([A-Z]{1,2}\d+) \| (.+?) \| (.*) \|$/gm)]
  return rows
    .filter(([, number = '']) => numbers.test(number))
    .map(([, number = '', text = '', tests = '']) => ({
      number,
      text,
      tests: [...tests.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)].map(([, shown = '', path = '']) => ({
        file: join(dirname(document), path),
        // The name of the file stands for a title that is the rule itself.
        title: shown === basename(path) ? text : shown,
      })),
    }))
}

const titles = testFiles.flatMap(titlesIn)
const faults = rulesIn('docs/guarantees.md', /^F/)
const rules = [...rulesIn('SPEC.md', /./), ...faults]
const uncapitalised = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1)

test('ST4 each rule has its own number and at least one test', () => {
  const numbers = rules.map(({ number }) => number)
  expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).toEqual([])
  // The catalogue states why these faults have no test.
  expect(rules.filter(({ tests }) => tests.length === 0).map(({ number }) => number)).toEqual([
    ...['F29', 'F36', 'F38', 'F45'],
  ])
})

test('ST4 each link of a rule leads to a test with this number and title', () => {
  const known = new Set(
    titles.flatMap(({ file, numbers, text }) => numbers.map((number) => `${number} ${uncapitalised(text)} (${file})`)),
  )
  const linked = rules.flatMap(({ number, tests }) =>
    tests.map(({ file, title }) => `${number} ${uncapitalised(title)} (${file})`),
  )
  expect(linked.length).toBeGreaterThan(500)
  expect(linked.filter((one) => !known.has(one))).toEqual([])
})

test('ST4 each title begins with numbers of rules that link its file', () => {
  expect(titles.filter(({ numbers }) => numbers.length === 0)).toEqual([])
  const linked = new Set(rules.flatMap(({ number, tests }) => tests.map(({ file }) => `${number} in ${file}`)))
  const found = new Set(titles.flatMap(({ file, numbers }) => numbers.map((number) => `${number} in ${file}`)))
  expect([...found].filter((one) => !linked.has(one))).toEqual([])
})

test('ST4 docs/guarantees.md states the guarantees as SPEC.md does', () => {
  const stated = (document: string) => rulesIn(document, /^G\d/).map(({ number, text }) => `${number} ${text}`)
  expect(stated('docs/guarantees.md')).toEqual(stated('SPEC.md'))
  expect(stated('SPEC.md').length).toBe(10)
})

test('ST4 the catalogue has fifty faults, and each fault of a simulation or a property has a test', () => {
  expect(faults.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => `F${index + 1}`))
  const levels = [...textOf('docs/guarantees.md').matchAll(/^\| (F\d+) \| .+? \| ([SPCL,]+) \| (.*) \|$/gm)]
  expect(levels.length).toBe(faults.length)
  expect(levels.filter(([, , level = '', tests = '']) => /[SP]/.test(level) && !tests.includes('.ts)'))).toEqual([])
})

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['docs', 'changes'].flatMap((folder) => filesBelow(folder, '.md')),
] as readonly string[]

const anchorsOf = (document: string): readonly string[] =>
  [...textOf(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

function brokenLinks(document: string): readonly string[] {
  const links = [...textOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? document : join(dirname(document), path)
    return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor))
  })
}

/** Paths in code spans, from the root or from a package: `test/sim/run.ts`, `shared/src/store/store.ts`. */
function brokenPaths(document: string): readonly string[] {
  const folders = ['packages', 'packaging', 'test', 'docs', 'proto', 'demo', 'changes', 'monitoring'].join('|')
  const pattern = new RegExp(`\`((?:(${packages.join('|')})/(?:src|test)|${folders})/[^\`\\s*]*)\``, 'g')
  const paths = [...textOf(document).matchAll(pattern)].map(([, path = '', own]) => (own ? `packages/${path}` : path))
  return paths.filter((path) => !existsSync(join(root, path)))
}

test('ST5 every link and every path in a document leads to a file of the repository', () => {
  expect(documents.length).toBeGreaterThan(10)
  const broken = documents.flatMap((document) =>
    [...brokenLinks(document), ...brokenPaths(document)].map((path) => `${document}: ${path}`),
  )
  expect(broken).toEqual([])
})

test('ST4 every rule that a document or a comment cites in parentheses is in SPEC.md', () => {
  const numbers = new Set(rules.map(({ number }) => number))
  const letters = [...new Set(rules.map(({ number }) => number.replace(/\d+/, '')))].join('|')
  const citation = new RegExp(`[(;,] ?((?:${letters})\\d{1,2})(?=[,;)])`, 'g')
  const unknown = [...documents, ...sourceFiles].flatMap((file) =>
    [...textOf(file).matchAll(citation)]
      .filter(([, number = '']) => !numbers.has(number))
      .map(([, number]) => `${file}: ${number}`),
  )
  expect(unknown).toEqual([])
})

test('ST5 every document that a source file names is in the repository, and none is cited by section', () => {
  const cited = sourceFiles.flatMap((file) => [
    ...[...textOf(file).matchAll(/[\w./-]+\.md\b/g)].map(([path]) => ({ file, path: path.replace(/^(\.\.\/)+/, '') })),
    ...[...textOf(file).matchAll(/\u00a7[\d.]*/g)].map(([path]) => ({ file, path })),
  ])
  expect(cited.filter(({ path }) => !existsSync(join(root, path))).map(({ file, path }) => `${file}: ${path}`)).toEqual(
    [],
  )
})
