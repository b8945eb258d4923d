import { CommandError } from '../base/command.ts'

/** The values of `${port.NAME}`, `${folder}` and `${resolver}` in a scene. */
export interface Placeholders {
  readonly port: (name: string) => number
  /** The folder of the process that the text belongs to. */
  readonly folder?: string
  /** HOST:PORT of the resolver beside the proxy that the text belongs to. */
  readonly resolver?: string
}

const form = /\$\{([^}]*)\}/g
const portForm = /^port\.([a-z0-9][-.a-z0-9]*)$/

/** Replaces placeholders in all texts of a value. A text that is one `${port.NAME}` becomes a number. */
export function fillPlaceholders<T>(value: T, places: Placeholders, where: string): T {
  const fill = (one: unknown): unknown => {
    if (typeof one === 'string') return fillText(one, places, where)
    if (Array.isArray(one)) return one.map(fill)
    if (one === null || typeof one !== 'object') return one
    return Object.fromEntries(Object.entries(one).map(([key, field]) => [key, fill(field)]))
  }
  // Only texts change, and a number stands only where a port stands.
  return fill(value) as T
}

function fillText(text: string, places: Placeholders, where: string): string | number {
  const whole = /^\$\{([^}]*)\}$/.exec(text)?.[1]
  if (whole !== undefined) return placeValue(whole, places, where)
  return text.replace(form, (_, name: string) => String(placeValue(name, places, where)))
}

function placeValue(name: string, { port, folder, resolver }: Placeholders, where: string): string | number {
  const portName = portForm.exec(name)?.[1]
  if (portName !== undefined) return port(portName)
  const value = { folder, resolver }[name]
  if (value !== undefined) return value
  if (name === 'folder' || name === 'resolver')
    // The text is filled again where the value is known.
    return `\${${name}}`
  throw new CommandError(`${where}: expected \${port.NAME}, \${folder} or \${resolver}, found "\${${name}}"`)
}

/** The names of all `${port.NAME}` in a value, each once, in their order. */
export function portNamesIn(value: unknown): readonly string[] {
  const names = [...JSON.stringify(value).matchAll(form)].flatMap(([, name = '']) => portForm.exec(name)?.[1] ?? [])
  return [...new Set(names)]
}
