/** An element of XML. */
export interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Element[]
  readonly text: string
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Characters that XML 1.0 allows: https://www.w3.org/TR/xml/#charsets. */
const allowed = /^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u

function unescaped(text: string): string {
  if (/[<]|&(?!(amp|lt|gt|quot|apos|#\d+);)/.test(text)) throw new Error(`not escaped: ${text}`)
  return text.replace(/&(?:#(\d+)|(\w+));/g, (_all, code: string | undefined, name: string | undefined) =>
    code === undefined ? (entities[name ?? ''] ?? '') : String.fromCodePoint(Number(code)),
  )
}

/** Reads XML strictly: one root, closed elements, quoted attributes, allowed characters. Throws an error otherwise. */
export function readXml(text: string): Element {
  if (!allowed.test(text)) throw new Error('a character that XML does not allow')
  const declaration = '<?xml version="1.0" encoding="UTF-8"?>'
  if (!text.startsWith(declaration)) throw new Error('no XML declaration')
  let rest = text.slice(declaration.length).trim()

  function take(pattern: RegExp): RegExpExecArray {
    const found = pattern.exec(rest)
    if (found?.index !== 0) throw new Error(`expected ${pattern}, found ${rest.slice(0, 100)}`)
    rest = rest.slice(found[0].length)
    return found
  }

  function element(): Element {
    const [, name = '', given = '', end = ''] = take(/^<([a-z][a-z-]*)((?: [a-z]+="[^"]*")*)(\/?)>/)
    const pairs = [...given.matchAll(/ ([a-z]+)="([^"]*)"/g)].map(
      ([, key = '', value = '']) => [key, unescaped(value)] as const,
    )
    const attributes = Object.fromEntries(pairs)
    if (Object.keys(attributes).length !== pairs.length) throw new Error(`an attribute of ${name} appears twice`)
    const children: Element[] = []
    let inner = ''
    while (end === '' && !rest.startsWith(`</${name}>`)) {
      if (rest.startsWith('<')) children.push(element())
      else inner += unescaped(take(/^[^<]+/)[0])
    }
    if (end === '') rest = rest.slice(`</${name}>`.length)
    return { name, attributes, children, text: inner }
  }

  const root = element()
  if (rest.trim() !== '') throw new Error(`text after the root: ${rest.slice(0, 100)}`)
  return root
}
