import { existsSync, readFileSync } from 'node:fs'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

/** One setting: written once, read from a flag, the environment or a file, and shown in `--help` and the reference page. */
export interface Option<Schema extends z.ZodType = z.ZodType> {
  /** Judges the text of a flag or variable, and the value of a file. */
  readonly schema: Schema
  readonly help: string
  /** What stands for the value in `--help`: FILE, PORT. Booleans have none. */
  readonly placeholder?: string
  /** May be given several times; the schema gets the list. */
  readonly repeated?: boolean
  /** One letter, for the few options typed by hand all day. */
  readonly short?: string
  /** Shown as "<set>" wherever the configuration is printed. */
  readonly secret?: boolean
  /** How the default is shown; it stands in the schema. */
  readonly shownDefault?: string
}

export type Options = Readonly<Record<string, Option>>
export type Values<Spec extends Options> = { readonly [Key in keyof Spec]: z.infer<Spec[Key]['schema']> }

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
export const flagName = (name: string): string => `--${dashed(name)}`
export const variableName = (name: string): string => `ZONEMESH_${dashed(name).replaceAll('-', '_').toUpperCase()}`

export const isBoolean = (option: Option): boolean => option.placeholder === undefined

/** Texts of the environment and of flags become what the schema wants. */
export const text = z.string()
export const port = z.coerce
  .number({ error: 'expected a port' })
  .int()
  .min(0, 'expected a port from 0 to 65535')
  .max(65_535, 'expected a port from 0 to 65535')
/** A whole number, at least `min`. */
export const count = (min: number) =>
  z.coerce.number({ error: 'expected a number' }).int('expected a whole number').min(min, `expected at least ${min}`)
export const toggle = z.union([z.boolean(), z.stringbool()])
export const list = z
  .union([z.string(), z.array(z.string())])
  .transform((value) =>
    (typeof value === 'string' ? [value] : value).flatMap((one) => one.split(',')).filter((one) => one !== ''),
  )

/** Declares an option with its type. */
export const option = <Schema extends z.ZodType>(
  schema: Schema,
  help: string,
  rest: Omit<Option<Schema>, 'schema' | 'help'> = {},
): Option<Schema> => ({
  schema,
  help,
  ...rest,
})

/** Wrong use of a command: exit code 2. */
export interface Misuse {
  readonly message: string
}

interface Given {
  readonly value: unknown
  readonly source: string
}

function readFlags(
  options: Options,
  args: readonly string[],
): Result<{ flags: Map<string, Given>; positionals: string[] }, Misuse> {
  const byFlag = new Map(
    Object.entries(options).flatMap(([name, one]) => [
      [flagName(name), name] as const,
      ...(one.short ? [[`-${one.short}`, name] as const] : []),
    ]),
  )
  const flags = new Map<string, Given>()
  const positionals: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? ''
    if (arg === '--') {
      positionals.push(...args.slice(index + 1))
      break
    }
    if (!arg.startsWith('-') || arg === '-') {
      positionals.push(arg)
      continue
    }
    const [flag = '', inline] =
      arg.startsWith('--') && arg.includes('=')
        ? [arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1)]
        : [arg, undefined]
    const negated = flag.startsWith('--no-') ? byFlag.get(`--${flag.slice(5)}`) : undefined
    const name = byFlag.get(flag) ?? negated
    const one = name === undefined ? undefined : options[name]
    if (!name || !one) {
      const candidate = nearest(flag, [...byFlag.keys()])
      return err({ message: `unknown option ${flag}${candidate ? `; did you mean ${candidate}?` : ''}` })
    }
    if (isBoolean(one)) {
      flags.set(name, { value: negated ? false : (inline ?? true), source: flag })
      continue
    }
    const value = inline ?? args[index + 1]
    if (value === undefined) return err({ message: `${flag} needs a value: ${flag} ${one.placeholder}` })
    if (inline === undefined) index += 1
    const before = flags.get(name)?.value
    flags.set(name, { value: one.repeated ? [...(Array.isArray(before) ? before : []), value] : value, source: flag })
  }
  return ok({ flags, positionals })
}

function readFile(options: Options, path: string | undefined): Result<Map<string, Given>, Misuse> {
  const found = new Map<string, Given>()
  if (path === undefined) return ok(found)
  if (!existsSync(path)) return err({ message: `configuration file ${path} does not exist` })
  let content: unknown
  try {
    content = parseYaml(readFileSync(path, 'utf8'))
  } catch (thrown) {
    return err({ message: `configuration file ${path}: ${messageOf(thrown)}` })
  }
  if (content === null || content === undefined) return ok(found)
  if (typeof content !== 'object' || Array.isArray(content))
    return err({ message: `configuration file ${path}: expected settings as "name: value"` })
  for (const [name, value] of Object.entries(content)) {
    if (!options[name]) {
      const candidate = nearest(name, Object.keys(options))
      return err({
        message: `configuration file ${path}: unknown setting "${name}"${candidate ? `; did you mean "${candidate}"?` : ''}`,
      })
    }
    found.set(name, { value, source: `${name} in ${path}` })
  }
  return ok(found)
}

/**
 * Reads the settings of a command: flags win over the environment, the environment over the file (`--config-file`), the
 * file over defaults. The error says which source is wrong and what was expected.
 */
export function readOptions<Spec extends Options>(
  options: Spec,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Result<{ readonly values: Values<Spec>; readonly positionals: readonly string[] }, Misuse> {
  const read = readFlags(options, args)
  if (!read.ok) return read
  const { flags, positionals } = read.value
  const given = new Map<string, Given>()
  const path = flags.get('configFile')?.value ?? environment[variableName('configFile')]
  const file = readFile(options, typeof path === 'string' ? path : undefined)
  if (!file.ok) return file
  for (const [name, one] of file.value) given.set(name, one)
  for (const name of Object.keys(options)) {
    const value = environment[variableName(name)]
    if (value !== undefined) given.set(name, { value, source: variableName(name) })
  }
  for (const [name, one] of flags) given.set(name, one)

  const values: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(options)) {
    const entry = given.get(name)
    const parsed = one.schema.safeParse(entry?.value)
    if (!parsed.success) {
      const reason = parsed.error.issues[0]?.message.replace(/^Invalid (input|option): /, '') ?? 'not valid'
      if (!entry) return err({ message: `${flagName(name)} is needed: ${one.help}` })
      return err({ message: `${entry.source}: ${reason}${one.secret ? '' : `, found "${String(entry.value)}"`}` })
    }
    values[name] = parsed.data
  }
  // Each value was parsed by the schema of its own option.
  return ok({ values: values as Values<Spec>, positionals })
}

/** The lines of `--help` about options. */
export function optionLines(options: Options): string[] {
  const left = (name: string, one: Option) =>
    `${one.short ? `-${one.short}, ` : '    '}${flagName(name)}${one.placeholder ? ` ${one.placeholder}` : ''}`
  const width = Math.min(34, Math.max(...Object.entries(options).map(([name, one]) => left(name, one).length)))
  return Object.entries(options).map(([name, one]) => {
    const start = left(name, one)
    const gap = start.length > width ? `\n${' '.repeat(width + 4)}` : ' '.repeat(width - start.length + 2)
    return `  ${start}${gap}${one.help}${one.shownDefault ? ` (default ${one.shownDefault})` : ''}`
  })
}

/** The rows of the reference page. */
export const optionReference = (options: Options): string[] =>
  Object.entries(options).map(
    ([name, one]) =>
      `| \`${flagName(name)}\` | \`${variableName(name)}\` | \`${name}\` | ${one.shownDefault ?? ''} | ${one.help} |`,
  )

/** The values as they may be shown: secrets are only said to be set. */
export function shownValues(
  options: Options,
  values: Readonly<Record<string, unknown>>,
): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    Object.entries(options).map(([name, one]) => {
      const value = values[name]
      if (value === undefined) return [name, null]
      if (one.secret) return [name, '<set>']
      return [name, typeof value === 'number' || typeof value === 'boolean' ? value : String(value)]
    }),
  )
}
