import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { isNode, parse, type SyntaxNode } from './syntax.ts'
import { longFunctions, memos, publicFiles } from './tidy-lists.ts'

const root = resolve(import.meta.dirname, '..')

function filesBelow(folder: string, isWanted: (path: string) => boolean): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return entry.name === 'gen' || entry.name === 'node_modules' ? [] : filesBelow(path, isWanted)
    return isWanted(path) ? [path] : []
  })
}

const sources = filesBelow('packages', (path) => path.endsWith('.ts') && path.includes('/src/'))
const everything = [
  ...sources,
  ...filesBelow('packages', (path) => path.endsWith('.ts') && path.includes('/test/')),
  ...['test', 'packaging'].flatMap((folder) => filesBelow(folder, (path) => path.endsWith('.ts'))),
]
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
/** The code without comments and texts, because words in them prove nothing. */
const codeOf = (path: string): string =>
  textOf(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:])\/\/.*$/gm, '$1')
    .replace(/`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''")

interface Import {
  readonly from: string
  readonly specifier: string
  /** The imported file, relative to the root; undefined for npm packages and Node's own modules. */
  readonly target: string | undefined
}

function importsOf(path: string): Import[] {
  const found = [
    ...textOf(path).matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"\n]*(?:\{[^}]*\}[^'"\n]*)?from\s*'([^']+)'|import\('([^']+)'\)|(?:^|\n)import '([^']+)'/g,
    ),
  ]
  return found.map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? ''
    const own = /^@zonemesh\/([a-z]+)\/(.*)$/.exec(specifier)
    const inside = own?.[2]?.startsWith('gen/') ? own[2] : `src/${own?.[2]}`
    const target = own
      ? join('packages', own[1] ?? '', inside)
      : specifier.startsWith('.')
        ? relative(root, resolve(root, dirname(path), specifier))
        : undefined
    return { from: path, specifier, target }
  })
}

const allImports = sources.flatMap(importsOf)
const packageOf = (path: string): string => path.split('/')[1] ?? ''
/** The folder below src; files that stand in src itself have none. */
const folderOf = (path: string): string => (path.split('/').length > 4 ? (path.split('/')[3] ?? '') : '')

const packagesSeen: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  core: ['shared'],
  plane: ['shared', 'core'],
  global: ['shared', 'core', 'plane'],
  zone: ['shared', 'core', 'plane'],
  dataplane: ['shared'],
  cli: ['shared', 'core', 'plane', 'global', 'zone', 'dataplane'],
}

test('L1 packages import only the packages below them', () => {
  const wrong = allImports.filter(({ from, target }) => {
    if (!target?.startsWith('packages/')) return false
    const [own, other] = [packageOf(from), packageOf(target)]
    return own !== other && !packagesSeen[own]?.includes(other)
  })
  expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
})

/** What each folder of a layered package may import of its own package. */
const foldersSeen: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  shared: {
    base: [],
    env: ['base'],
    streams: ['base'],
    resource: ['base'],
    store: ['base', 'env', 'streams', 'resource'],
    guarantees: ['base', 'resource', 'store'],
    auth: ['base', 'env', 'streams', 'resource'],
    delta: ['base', 'env', 'streams', 'resource'],
    dns: ['base', 'env', 'streams', 'resource'],
    transport: ['base', 'env', 'streams', 'resource'],
    query: ['base', 'env'],
    leader: ['base', 'env', 'streams', 'resource', 'store'],
    redis: ['base', 'env', 'store'],
    sync: ['base', 'env', 'streams', 'resource', 'store', 'transport', 'delta', 'auth', 'query', 'leader'],
  },
  core: {
    '': ['kinds', 'policies'],
    kinds: [],
    policies: ['kinds'],
    admit: ['', 'kinds'],
    names: ['', 'kinds'],
    view: ['', 'kinds'],
    match: ['kinds', 'view'],
    // The model is between the folders that decide the configuration of a proxy and the one that encodes it.
    model: ['kinds', 'policies', 'view'],
    edge: ['kinds', 'match', 'view', 'model'],
    gateway: ['kinds', 'policies', 'match', 'view', 'edge', 'model'],
    sidecar: ['kinds', 'policies', 'match', 'view', 'edge', 'names', 'model'],
    emit: ['kinds', 'policies', 'view', 'model'],
    compile: ['', 'kinds', 'policies', 'match', 'view', 'edge', 'gateway', 'sidecar', 'emit', 'model'],
    explain: ['', 'kinds', 'policies', 'match', 'view', 'edge', 'gateway', 'names', 'emit', 'compile', 'model'],
  },
  plane: {
    '': ['api', 'authority', 'health', 'metrics'],
    authority: [],
    config: [],
    health: [],
    metrics: ['api'],
    history: [],
    tokens: ['authority'],
    tracing: [],
    catalogue: [],
    certificates: ['authority'],
    replicas: ['authority'],
    status: ['authority', 'certificates', 'tokens'],
    api: ['authority', 'catalogue', 'tokens', 'history'],
  },
}

test('L1 inside shared, core and plane, folders import only the folders below them', () => {
  const wrong = allImports.filter(({ from, target }) => {
    if (!target?.startsWith('packages/') || target.includes('/gen/')) return false
    const layers = foldersSeen[packageOf(from)]
    if (!layers || packageOf(from) !== packageOf(target)) return false
    const [own, other] = [folderOf(from), folderOf(target)]
    return own !== other && !layers[own]?.includes(other)
  })
  expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
})

/** Groups of names that reach each other. Names that are in no cycle are left out. */
function cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const reachable = (from: string): ReadonlySet<string> => {
    const found = new Set<string>()
    const open = [from]
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      for (const next of edges.get(name) ?? []) {
        if (found.has(next)) continue
        found.add(next)
        open.push(next)
      }
    }
    return found
  }
  const reachableByName = new Map([...edges.keys()].map((name) => [name, reachable(name)]))
  const groups = [...edges.keys()]
    .filter((name) => reachableByName.get(name)?.has(name))
    .map((name) =>
      [...(reachableByName.get(name) ?? [])].filter((other) => reachableByName.get(other)?.has(name)).sort(),
    )
  return [...new Map(groups.map((group) => [group.join(), group])).values()].sort()
}

function edgesBy(nameOf: (path: string) => string): ReadonlyMap<string, ReadonlySet<string>> {
  const edges = new Map<string, Set<string>>()
  for (const { from, target } of allImports) {
    if (!target?.startsWith('packages/') || target.includes('/gen/')) continue
    const [own, other] = [nameOf(from), nameOf(target)]
    if (own !== other) edges.set(own, (edges.get(own) ?? new Set()).add(other))
  }
  return edges
}

test('L1 no files and no folders of any package import each other in a cycle', () => {
  expect(cyclesOf(edgesBy(roomOf))).toEqual([])
  expect(cyclesOf(edgesBy((path) => path))).toEqual([])
})

/** The room of a file: the package, and the folder below its src. */
const roomOf = (path: string): string => [packageOf(path), folderOf(path)].filter((part) => part !== '').join('/')

test('L1 other folders import only the public files of a folder, and each public file is imported', () => {
  const imported = new Map<string, Set<string>>()
  for (const { from, target } of allImports) {
    if (!target?.startsWith('packages/') || target.includes('/gen/') || roomOf(from) === roomOf(target)) continue
    const file = target
      .split('/')
      .slice(folderOf(target) === '' ? 3 : 4)
      .join('/')
    imported.set(roomOf(target), (imported.get(roomOf(target)) ?? new Set()).add(file))
  }
  const found = [...imported].map(([room, files]) => [room, [...files].sort()] as const)
  expect(Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)))).toEqual(publicFiles)
})

test('L1 only core/emit and the xDS server import the types of Envoy', () => {
  const wrong = allImports.filter(
    ({ from, target }) =>
      target?.includes('/gen/envoy/') && !/^packages\/(core\/src\/emit|zone\/src\/xds)\//.test(from),
  )
  expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
})

const isStep = (path: string): boolean => /(-step|\/outbound|\/inbound)\.ts$/.test(path)
const pure = sources.filter((path) => path.startsWith('packages/core/src/') || isStep(path))

test('L2 core and every step have no await, clock, randomness or node:* module', () => {
  const wrong = pure.flatMap((path) => {
    const code = codeOf(path)
    const words = [
      /\bawait\b/,
      /\basync\b/,
      /\bDate\.now\b/,
      /\bnew Date\(\)/,
      /\bperformance\b/,
      /\bMath\.random\b/,
      /\bsetTimeout\b/,
      /\bsetInterval\b/,
      /\bprocess\./,
    ].filter((word) => word.test(code))
    const modules = importsOf(path).filter(({ specifier }) => specifier.startsWith('node:'))
    return [
      ...words.map((word) => `${path}: ${word.source}`),
      ...modules.map(({ specifier }) => `${path}: ${specifier}`),
    ]
  })
  expect(wrong).toEqual([])
})

test('L2 the only npm packages of core are zod, protobuf-es and re2js', () => {
  const wrong = allImports.filter(
    ({ from, specifier, target }) =>
      from.startsWith('packages/core/') &&
      target === undefined &&
      !/^(zod|re2js|@bufbuild\/protobuf(\/.*)?)$/.test(specifier),
  )
  expect(wrong.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([])
})

/** Files that still cast the spec of a document that admission has just parsed. The list only shrinks. */
const knownCasts: readonly string[] = [
  'packages/cli/src/explain/from-files.ts',
  'packages/plane/src/api/placement.ts',
  'packages/plane/src/api/resources.ts',
  'packages/plane/src/tokens/keeper.ts',
  'packages/zone/src/door/arrival.ts',
  'packages/zone/src/door/registration.ts',
]

test('C1 the spec of a row is never cast: rows are read through kinds/row.ts', () => {
  const casts = sources.filter((path) => /\bspec as (?!never\b)|\bas [A-Z]\w*Spec\b/.test(codeOf(path)))
  expect(casts).toEqual(knownCasts)
})

test('ST1 no file is longer than 500 lines, and each has an importer or is an entry', () => {
  const long = everything.filter((path) => textOf(path).split('\n').length > 500)
  expect(long).toEqual([])
  const testImports = everything.filter((path) => !sources.includes(path)).flatMap(importsOf)
  const imported = new Set([...allImports, ...testImports].map(({ target }) => target))
  const isEntry = (path: string): boolean => /(^|\/)([a-z-]+-)?main\.ts$/.test(path)
  const started = new Set(
    everything.flatMap((path) =>
      [...textOf(path).matchAll(/new URL\('([^']+\.ts)', import\.meta\.url\)/g)].map((match) =>
        relative(root, resolve(root, dirname(path), match[1] ?? '')),
      ),
    ),
  )
  expect(sources.filter((path) => !imported.has(path) && !isEntry(path) && !started.has(path))).toEqual([])
})

function children(node: SyntaxNode): SyntaxNode[] {
  return Object.values(node)
    .flatMap((value): unknown[] => (Array.isArray(value) ? value : [value]))
    .filter(isNode)
}

const nodesBelow = (node: SyntaxNode): SyntaxNode[] => [node, ...children(node).flatMap(nodesBelow)]
const nameOf = (node: unknown): string => (isNode(node) ? String(node['name'] ?? node['value'] ?? '') : '')
const trees = new Map(sources.map((path) => [path, parse(textOf(path))]))

/** Functions with the name under which they are declared or assigned. */
function functionsOf(node: SyntaxNode, name = ''): { readonly name: string; readonly node: SyntaxNode }[] {
  const own =
    node.type === 'FunctionDeclaration' || node.type === 'VariableDeclarator'
      ? nameOf(node['id'])
      : node.type === 'Property' || node.type === 'MethodDefinition'
        ? nameOf(node['key'])
        : name
  const isFunction = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)
  return [...(isFunction ? [{ name: own, node }] : []), ...children(node).flatMap((child) => functionsOf(child, own))]
}

test('ST6 no function is longer than 70 lines, except those of a list that only shrinks', () => {
  const long = [...trees].flatMap(([path, tree]) => {
    const linesOf = ({ start, end }: SyntaxNode): number => textOf(path).slice(start, end).split('\n').length
    const names = functionsOf(tree).flatMap(({ name, node }) => (linesOf(node) > 70 ? [name] : []))
    return [...new Set(names)].sort().map((name) => `${path} ${name}`)
  })
  expect(long).toEqual(longFunctions)
})

const mutators = /^(set|add|delete|clear|push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin)$/
const assigned: Readonly<Record<string, string>> = {
  AssignmentExpression: 'left',
  UpdateExpression: 'argument',
  UnaryExpression: 'argument',
}

/** The variable that a node modifies: `list.push(1)`, `byName[name] = 1`, `state.count += 1`, `delete byName[name]`. */
function changedBy(node: SyntaxNode): string | undefined {
  const rootOf = (part: unknown): string | undefined =>
    !isNode(part) ? undefined : part.type === 'MemberExpression' ? rootOf(part['object']) : nameOf(part)
  if (node.type === 'CallExpression') {
    const callee = node['callee']
    const isMutator = isNode(callee) && callee.type === 'MemberExpression' && mutators.test(nameOf(callee['property']))
    return isMutator && isNode(callee['object']) && callee['object'].type === 'Identifier'
      ? nameOf(callee['object'])
      : undefined
  }
  const field = assigned[node.type]
  const target =
    field === undefined || (node.type === 'UnaryExpression' && node['operator'] !== 'delete') ? undefined : node[field]
  return isNode(target) && target.type === 'MemberExpression' ? rootOf(target) : undefined
}

test('ST7 no module has state: nothing at the top level is assigned or changed later', () => {
  const found = [...trees].flatMap(([path, tree]) => {
    const declarations = children(tree)
      .map((node) => (isNode(node['declaration']) ? node['declaration'] : node))
      .filter(({ type }) => type === 'VariableDeclaration')
    const declared = declarations.flatMap((node) => children(node).map((one) => nameOf(one['id'])))
    const changed = new Set(nodesBelow(tree).map(changedBy))
    const variables = declarations.filter(({ kind }) => kind !== 'const')
    return [
      ...variables.flatMap((node) => children(node).map((one) => `${path} ${nameOf(one['id'])}`)),
      ...declared.filter((name) => changed.has(name)).map((name) => `${path} ${name}`),
    ]
  })
  expect(found).toEqual(memos)
})

test('ST2 each dependency has one line in DEPENDENCIES.md, and there are no other lines', () => {
  const manifest = JSON.parse(textOf('package.json'))
  const declared = Object.keys({
    ...manifest.dependencies,
    ...manifest.devDependencies,
    ...manifest.optionalDependencies,
  }).sort()
  const described = [...textOf('DEPENDENCIES.md').matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]).sort()
  expect(described).toEqual(declared)
})

test('ST3 no test is skipped, retried or run alone', () => {
  const tests = everything.filter((path) => path.endsWith('.test.ts') && !path.endsWith('tidy.test.ts'))
  const wrong = tests.filter((path) =>
    /\b(test|it|describe)\.(only|skip|todo)\b|\bretry:\s*[1-9]|\bvi\.mock\b/.test(codeOf(path)),
  )
  expect(wrong).toEqual([])
})
