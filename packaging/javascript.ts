import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { isNode, parse, type SyntaxNode } from '../test/syntax.ts'

/**
 * The JavaScript of a TypeScript file: types become blanks, so each line and column of an error is that of the source. Node
 * strips no types below node_modules, and a package has no workspaces, so specifiers become relative paths of .js files.
 * `file` is the path of the source from the root.
 */
export function toJavaScript(code: string, file: string): string {
  let text = stripTypeScriptTypes(code)
  for (const { start, end, specifier } of specifiersOf(parse(code)).reverse()) {
    // An import of types alone is blank by now.
    if (text.slice(start, end) !== code.slice(start, end)) continue
    text = `${text.slice(0, start)}'${inPackage(specifier, file)}'${text.slice(end)}`
  }
  return text
}

/** The specifier of an import in the package: `@zonemesh/shared/base/base.ts` becomes `../../../shared/src/base/base.js`. */
function inPackage(specifier: string, file: string): string {
  const own = /^@zonemesh\/([a-z]+)\/((gen\/)?.*)$/.exec(specifier)
  if (!own) return specifier.startsWith('.') ? specifier.replace(/\.ts$/, '.js') : specifier
  const [, name = '', path = '', generated] = own
  const target = generated === undefined ? join('packages', name, 'src', path) : join('packages', name, path)
  const way = relative(dirname(file), target.replace(/\.ts$/, '.js'))
  return way.startsWith('.') ? way : `./${way}`
}

interface Specifier {
  readonly start: number
  readonly end: number
  readonly specifier: string
}

/** The specifiers of all imports, in the order of the file. */
export function specifiersOf(node: SyntaxNode): Specifier[] {
  const { source } = node
  const own =
    isNode(source) && typeof source['value'] === 'string'
      ? [{ start: source.start, end: source.end, specifier: source['value'] }]
      : []
  const children = Object.values(node).flatMap((value) => (Array.isArray(value) ? value : [value]))
  return [...own, ...children.filter(isNode).flatMap(specifiersOf)].sort((a, b) => a.start - b.start)
}
