import { isNode, type SyntaxNode as Node, parse } from '../syntax.ts'

/** One small change of a source file. */
export interface Mutant {
  readonly start: number
  readonly end: number
  readonly replacement: string
}

/** Nodes that wrap an expression and are not types themselves. */
const typedExpressions: ReadonlySet<string> = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
])

const swapped: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '-': '+',
  '*': '/',
}

/** Methods that filter or sort: the mutant uses the whole list unchanged. */
const choosing: ReadonlySet<string> = new Set(['filter', 'sort', 'slice'])

/**
 * All mutants of a file, in the order of their positions. Types, messages of errors and calls of the log have none: no test should
 * depend on them.
 */
export function mutantsOf(code: string): readonly Mutant[] {
  const found: Mutant[] = []
  const text = ({ start, end }: Node): string => code.slice(start, end)
  const replace = ({ start, end }: Node, replacement: string) => void found.push({ start, end, replacement })

  function visit(node: Node, parent: Node | undefined): void {
    if (node.type.startsWith('TS') && !typedExpressions.has(node.type)) return
    if (node.type === 'ImportDeclaration' || node.type === 'ThrowStatement') return
    if (node.type === 'ExpressionStatement' && isLogging(node)) return
    mutate(node, parent)
    for (const [field, value] of Object.entries(node)) {
      if (field === 'typeAnnotation' || field === 'returnType' || field === 'typeArguments') continue
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, node)
    }
  }

  const isLogging = (node: Node): boolean => /^(await )?([\w.]+\.)?log\.\w+\(/.test(text(node))

  function mutate(node: Node, parent: Node | undefined): void {
    switch (node.type) {
      case 'IfStatement':
      case 'ConditionalExpression':
      case 'WhileStatement':
        // Comparisons are negated by another mutant.
        if (isNode(node['test']) && !isEquality(node['test'])) replace(node['test'], `!(${text(node['test'])})`)
        return
      case 'BinaryExpression':
      case 'LogicalExpression':
        swapOperator(node)
        return
      case 'UnaryExpression':
        if (node['operator'] === '!' && isNode(node['argument'])) replace(node, text(node['argument']))
        return
      case 'Literal':
        if (typeof node['value'] === 'boolean') replace(node, String(!node['value']))
        else if (typeof node['value'] === 'number' && !isKey(node, parent)) replace(node, String(node['value'] + 1))
        return
      case 'ExpressionStatement':
        if (isCall(node['expression'])) replace(node, ';')
        return
      case 'ReturnStatement':
      case 'ContinueStatement':
        if (isEarly(node, parent)) replace(node, ';')
        return
      case 'CallExpression':
        dropChoice(node)
        return
    }
  }

  function swapOperator(node: Node): void {
    const { left, right, operator } = node
    const other = typeof operator === 'string' ? swapped[operator] : undefined
    if (other === undefined || !isNode(left) || !isNode(right)) return
    const between = code.slice(left.end, right.start)
    const at = left.end + between.indexOf(String(operator))
    found.push({ start: at, end: at + String(operator).length, replacement: other })
  }

  function dropChoice(node: Node): void {
    const callee = node['callee']
    if (!isNode(callee) || callee.type !== 'MemberExpression') return
    const { object, property } = callee
    if (isNode(object) && isNode(property) && choosing.has(text(property))) replace(node, text(object))
  }

  visit(parse(code), undefined)
  return found.sort((a, b) => a.start - b.start)
}

const isEquality = (node: Node): boolean => node['operator'] === '===' || node['operator'] === '!=='
const isKey = (node: Node, parent: Node | undefined): boolean => parent?.type === 'Property' && parent['key'] === node
const isCall = (value: unknown): boolean =>
  isNode(value) && (value.type === 'CallExpression' || (value.type === 'AwaitExpression' && isCall(value['argument'])))
/** The return ends a branch, not the whole function. */
const isEarly = (node: Node, parent: Node | undefined): boolean =>
  parent?.type === 'IfStatement' && (parent['consequent'] === node || parent['alternate'] === node)

export const applied = (code: string, { start, end, replacement }: Mutant): string =>
  code.slice(0, start) + replacement + code.slice(end)

/** The position and the change of a mutant, on one line. */
export function shownMutant(file: string, code: string, { start, end, replacement }: Mutant): string {
  const line = code.slice(0, start).split('\n').length
  const short = (value: string): string => {
    const flat = value.replace(/\s+/g, ' ')
    return flat.length > 70 ? `${flat.slice(0, 67)}...` : flat
  }
  const whole = code.split('\n')[line - 1]?.trim() ?? ''
  const change =
    replacement === ';'
      ? `removed ${short(code.slice(start, end))}`
      : `${short(code.slice(start, end))} → ${short(replacement)}`
  return `${file}:${line}  ${change}${end - start < 12 ? `   in  ${short(whole)}` : ''}`
}
