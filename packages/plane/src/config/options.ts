import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { spanExpected, spanMs } from '@zonemesh/core/kinds/common.ts'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { expectation } from '@zonemesh/core/kinds/wording.ts'
import { err, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

/**
 * One setting, defined once. It is read from a flag, the environment or a file, and shown in `--help` and the
 * reference page.
 */
export interface Option<Schema extends z.ZodType = z.ZodType> {
  /** Parses the text of a flag or variable, and the value in a file. */
  readonly schema: Schema
  readonly help: string
  /** The placeholder of the value in `--help`, such as FILE or PORT. Booleans have none. */
  readonly placeholder?: string
  /** The flag may be given several times. The schema receives the list. */
  readonly repeated?: boolean
  /** The value of the flag when it is given without one. */
  readonly assumed?: string
  /** A one-letter flag, for options that users type often. */
  readonly short?: string
  /** The value is shown as "<set>" wherever the configuration is printed. */
  readonly secret?: boolean
  /** The default as shown to users. The schema applies it. */
  readonly shownDefault?: string
}

export type Options = Readonly<Record<string, Option>>
export type Values<Spec extends Options> = { readonly [Key in keyof Spec]: z.infer<Spec[Key]['schema']> }

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
export const flagName = (name: string): string => `--${dashed(name)}`
export const variableName = (name: string): string => `ZONEMESH_${dashed(name).replaceAll('-', '_').toUpperCase()}`

export const isBoolean = (option: Option): boolean => option.placeholder === undefined

/** Schemas that convert the texts of flags and variables. */
export const text = z
  .string({ error: 'expected a text' })
  .min(1, 'expected a value')
  .refine((value) => !value.includes('\0'), 'expected a text without null characters')
/** One text or several, as they are given: commas do not separate. */
export const texts = z
  .union([z.string(), z.array(z.string())], { error: 'expected a text or a list of texts' })
  .transform((value) => (typeof value === 'string' ? [value] : value))
/** A whole number in decimal digits, which a file may also have as a number. */
const wholeNumber = (min: number, max: number, expected: string) =>
  z.union([z.string(), z.number()], { error: expected }).transform((given, context) => {
    const value = typeof given === 'number' ? given : /^-?\d+$/.test(given) ? Number(given) : undefined
    if (Number.isSafeInteger(value) && value !== undefined && value >= min && value <= max) return value
    context.addIssue({ code: 'custom', message: expected })
    return z.NEVER
  })
export const port = wholeNumber(0, 65_535, 'expected a port from 0 to 65535')
/** A whole number from `min` to `max`. */
export const count = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  wholeNumber(
    min,
    max,
    max === Number.MAX_SAFE_INTEGER
      ? `expected a whole number of at least ${min}`
      : `expected a whole number from ${min} to ${max}`,
  )
/** Any whole number, such as a seed. */
export const integer = wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'expected a whole number')
/** A duration such as `30s` or `30d`, in whole milliseconds. */
export const duration = z.string({ error: spanExpected }).transform((given, context) => {
  const ms = spanMs(given)
  if (ms !== undefined) return Math.ceil(ms)
  context.addIssue({ code: 'custom', message: spanExpected })
  return z.NEVER
})
export const positiveDuration = duration.refine((ms) => ms > 0, { error: `${spanExpected}, longer than 0` })
export const toggle = z.union([z.boolean(), z.stringbool()], { error: 'expected true or false' })
export const list = z
  .union([z.string(), z.array(z.string())], { error: 'expected a text or a list of texts' })
  .transform((value) =>
    (typeof value === 'string' ? [value] : value).flatMap((item) => item.split(',')).filter((item) => item !== ''),
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

/** Adds the values that flags without one have. Nothing after `--` is a flag. */
function withAssumed(args: readonly string[], assumedOf: (name: string) => string | undefined): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length
  return args.map((word, index) => {
    const assumed = word.startsWith('--') && index < end ? assumedOf(word.slice(2)) : undefined
    const next = args[index + 1]
    return assumed === undefined || (next !== undefined && !next.startsWith('-')) ? word : `${word}=${assumed}`
  })
}

/** Node's `parseArgs` divides the arguments; what a flag means, and every word about a wrong one, is ours. */
function readFlags(
  options: Options,
  args: readonly string[],
): Result<{ flags: Map<string, Given>; positionals: string[] }, Misuse> {
  const entries = Object.entries(options).map(([name, setting]) => ({ name, setting, flag: flagName(name) }))
  const byFlag = new Map(entries.map((entry) => [entry.flag.slice(2), entry]))
  const { tokens, positionals } = parseArgs({
    args: withAssumed(args, (name) => byFlag.get(name)?.setting.assumed),
    options: Object.fromEntries(
      entries.map(({ setting, flag }) => [
        flag.slice(2),
        {
          type: isBoolean(setting) ? 'boolean' : 'string',
          ...(setting.short ? { short: setting.short } : {}),
        } as const,
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const flags = new Map<string, Given>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const source = token.rawName
    const negated = token.name.startsWith('no-') ? byFlag.get(token.name.slice(3)) : undefined
    const entry = byFlag.get(token.name) ?? (negated && isBoolean(negated.setting) ? negated : undefined)
    if (!entry) {
      const all = entries.flatMap(({ setting, flag }) => [flag, ...(setting.short ? [`-${setting.short}`] : [])])
      const candidate = nearest(source, all)
      return err({ message: `unknown option ${source}${candidate ? `; did you mean ${candidate}?` : ''}` })
    }
    const { name, setting } = entry
    if (isBoolean(setting)) {
      flags.set(name, { value: entry === negated ? false : (token.value ?? true), source })
      continue
    }
    if (token.value === undefined) return err({ message: `${source} needs a value: ${source} ${setting.placeholder}` })
    const before = flags.get(name)?.value
    const value = setting.repeated ? [...(Array.isArray(before) ? before : []), token.value] : token.value
    flags.set(name, { value, source })
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
 * Reads the settings of a command. Flags override the environment, the environment overrides the file
 * (`--config-file`), and the file overrides defaults. The error states the source, what was expected and what was
 * found.
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
  const path = flags.get('configFile')?.value ?? (environment[variableName('configFile')] || undefined)
  const file = readFile(options, typeof path === 'string' ? path : undefined)
  if (!file.ok) return file
  for (const [name, setting] of file.value) given.set(name, setting)
  for (const name of Object.keys(options)) {
    const value = environment[variableName(name)]
    // Compose files and shells pass variables without a value as empty ones.
    if (value) given.set(name, { value, source: variableName(name) })
  }
  for (const [name, setting] of flags) given.set(name, setting)

  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(options)) {
    const entry = given.get(name)
    const parsed = setting.schema.safeParse(entry?.value, { error: expectation })
    if (!parsed.success) {
      const reason = parsed.error.issues[0]?.message ?? 'not valid'
      if (!entry) return err({ message: `${flagName(name)} is required: ${setting.help}` })
      return err({ message: `${entry.source}: ${reason}${setting.secret ? '' : `, found ${shownValue(entry.value)}`}` })
    }
    values[name] = parsed.data
  }
  // Each value was parsed by the schema of its own option.
  return ok({ values: values as Values<Spec>, positionals })
}

/** A value of a file may be of any type. */
const shownValue = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : JSON.stringify(value))

/** The rows of the reference page. */
export const optionReference = (options: Options): string[] =>
  Object.entries(options).map(
    ([name, setting]) =>
      `| \`${flagName(name)}\` | \`${variableName(name)}\` | \`${name}\` | ${setting.shownDefault ?? ''} | ${setting.help} |`,
  )

/** The values as shown to users, with "<set>" for secrets. */
export function shownValues(
  options: Options,
  values: Readonly<Record<string, unknown>>,
): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    Object.entries(options).map(([name, setting]) => {
      const value = values[name]
      if (value === undefined) return [name, null]
      if (setting.secret) return [name, '<set>']
      return [name, typeof value === 'number' || typeof value === 'boolean' ? value : String(value)]
    }),
  )
}
