import { jsonpath } from 'json-p3'
import { CommandError } from '../base/command.ts'

/**
 * The templates of kubectl: text with expressions in braces. An expression is a path (`{.items[*].name}`), a text in
 * quotes (`{"\n"}`), or the beginning or end of a repetition (`{range .items[*]}…{end}`). A path without braces is one
 * expression. Paths are those of RFC 9535 after a `$`, which is added. They are evaluated by a library without `eval`.
 */
export type Template = (value: unknown) => string

interface Part {
  readonly kind: 'text' | 'path' | 'range'
  readonly text: string
  readonly inner: readonly Part[]
}

/** Reads a template. Throws a usage error that names the place. */
export function readTemplate(source: string): Template {
  const braced = source.includes('{') ? source : `{${source}}`
  const tokens = [...braced.matchAll(/\{((?:[^{}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*)\}|([^{}]+)|[{}]/g)]
  const parts: Part[][] = [[]]
  const heads: string[] = []
  const push = (part: Part) => void parts.at(-1)?.push(part)
  for (const [whole, expression, text] of tokens) {
    const inner = expression?.trim()
    if (text !== undefined) push({ kind: 'text', text, inner: [] })
    else if (inner === undefined) throw bad(source, `"${whole}" without its counterpart`)
    else if (inner === 'end') {
      const head = heads.pop()
      if (head === undefined) throw bad(source, '{end} without {range …}')
      const body = parts.pop() ?? []
      push({ kind: 'range', text: head, inner: body })
    } else if (/^range\s/.test(inner)) {
      heads.push(checkedPath(source, inner.slice('range'.length).trim()))
      parts.push([])
    } else if (/^["']/.test(inner)) push({ kind: 'text', text: unquoted(inner), inner: [] })
    else push({ kind: 'path', text: checkedPath(source, inner), inner: [] })
  }
  if (heads.length > 0) throw bad(source, '{range …} without {end}')
  return (value) => filled(parts[0] ?? [], value)
}

function filled(parts: readonly Part[], value: unknown): string {
  return parts
    .map(({ kind, text, inner }) => {
      switch (kind) {
        case 'text':
          return text
        case 'path':
          return valuesAt(text, value).map(shown).join(' ')
        case 'range':
          return valuesAt(text, value)
            .map((one) => filled(inner, one))
            .join('')
      }
    })
    .join('')
}

// The library takes JSON values, which all values here are: they come from a parsed response.
const valuesAt = (path: string, value: unknown): unknown[] => jsonpath.query(path, value as never).values()

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

const unquoted = (text: string): string =>
  text.slice(1, -1).replace(/\\(.)/g, (_whole, letter: string) => ({ n: '\n', t: '\t', r: '\r' })[letter] ?? letter)

/** `.items[*].name` as `$['items'][*]['name']`: the library knows no names with dashes or escaped dots. */
function checkedPath(source: string, path: string): string {
  const quoted = path
    .replace(/^[$@]/, '')
    .replace(/^(?=[^.[])/, '.')
    .replace(
      /(\[(?:[^\]"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\])|(\.\.?)(\*|(?:\\.|[^.[\\])*)/g,
      (whole, bracket: string | undefined, dots: string, name: string) => {
        if (bracket !== undefined) return bracket
        if (name === '') return dots === '..' ? '..' : whole === '.' ? '' : whole
        const before = dots === '..' ? '..' : ''
        return name === '*' ? `${before}[*]` : `${before}['${name.replace(/\\(.)/g, '$1').replace(/'/g, "\\'")}']`
      },
    )
  const full = `$${quoted}`
  try {
    jsonpath.compile(full)
    return full
  } catch {
    throw bad(source, `the path "${path}" cannot be read`)
  }
}

const bad = (source: string, reason: string): CommandError =>
  new CommandError(
    `--output: expected jsonpath=TEMPLATE such as jsonpath='{.items[*].name}', found "${source}": ${reason}`,
    2,
  )
