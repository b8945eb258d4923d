import { parseAst } from 'vitest/node'

/** A node of the syntax tree of a TypeScript file. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value && 'end' in value

/** The root of the syntax tree of a TypeScript file. */
export function parse(code: string): SyntaxNode {
  const root: unknown = parseAst(code, { lang: 'ts' })
  if (!isNode(root)) throw new Error('the parser returned no node')
  return root
}
