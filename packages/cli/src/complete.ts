import { publicKinds } from '@zonemesh/core/registry.ts'
import { flagName, isBoolean, type Option, type Options, readOptions } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'
import { type Client, clientOptions, createClient } from './base/client.ts'
import type { Command } from './base/command.ts'
import { readContexts } from './base/contexts.ts'
import { kindByWord, pathOf } from './resources/kinds.ts'

/** The commands by name; each is loaded only when its options are needed. */
export type Loaders = Readonly<Record<string, { load(): Promise<Command> }>>

/** The shell completes a path itself. */
const files = [':files']
const folders = [':folders']

/** How long a shell waits for names of resources. */
const serverLimitMs = 1_000

/**
 * What may stand in place of the last word, by the words before it. Names of resources come from the control plane that
 * the command would call; if it does not answer soon, there are none. Never throws.
 */
export async function candidates(loaders: Loaders, words: readonly string[]): Promise<readonly string[]> {
  const current = words.at(-1) ?? ''
  try {
    const found = await candidatesFor(loaders, words.slice(0, -1), current)
    return found === files || found === folders ? found : found.filter((one) => one.startsWith(current)).sort()
  } catch {
    // A shell shows nothing in place of a completion that failed.
    return []
  }
}

async function candidatesFor(loaders: Loaders, before: readonly string[], current: string): Promise<readonly string[]> {
  const names = Object.keys(loaders)
  const name = [2, 1].map((length) => before.slice(0, length).join(' ')).find((one) => names.includes(one))
  const depth = name?.split(' ').length ?? 0
  // `zone` is a command, and the first word of others such as `zone release`.
  const further = nextWords(names, before)
  if (name === undefined || (depth === before.length && further.length > 0 && !current.startsWith('-'))) return further
  const command = await loaders[name]?.load()
  if (!command) return []
  const rest = before.slice(depth)
  const [flag = '', ...inline] = current.split('=')
  const own = inline.length > 0 ? optionOf(command.options, flag) : undefined
  if (own) return withPrefix(`${flag}=`, valuesOf(...own))
  const last = optionOf(command.options, rest.at(-1) ?? '')
  if (last && !isBoolean(last[1])) return valuesOf(...last)
  if (current.startsWith('-')) return flagsOf(command.options)
  return positionalsOf(command, rest, current)
}

/** The words of commands that follow these words. */
function nextWords(names: readonly string[], before: readonly string[]): readonly string[] {
  const all = before.length === 0 ? [...names, 'help'] : names
  const fitting = all.map((one) => one.split(' ')).filter((one) => before.every((word, index) => one[index] === word))
  return [...new Set(fitting.flatMap((one) => one[before.length] ?? []))]
}

const withPrefix = (prefix: string, values: readonly string[]): readonly string[] =>
  values === files || values === folders ? values : values.map((one) => prefix + one)

function optionOf(options: Options, flag: string): readonly [string, Option] | undefined {
  return Object.entries(options).find(([name, { short }]) => flagName(name) === flag || (short && `-${short}` === flag))
}

const flagsOf = (options: Options): readonly string[] => [...Object.keys(options).map(flagName), '--help']

/** The values of an option, as its schema and its placeholder have them. */
function valuesOf(name: string, { schema, placeholder = '' }: Option): readonly string[] {
  if (name === 'context') return Object.keys(readContexts().contexts)
  if (/DIR/.test(placeholder)) return folders
  if (/FILE|PATH/.test(placeholder)) return files
  return choicesOf(schema)
}

/** The choices of a schema, also inside of a default. */
function choicesOf(schema: z.core.$ZodType): readonly string[] {
  if (schema instanceof z.ZodEnum) return schema.options.map(String)
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault)
    return choicesOf(schema.unwrap())
  return []
}

const kindWords = publicKinds.map(({ name }) => name.toLowerCase())
const takesKind = new Set(['get', 'delete', 'history', 'schema', 'describe', 'edit'])

async function positionalsOf(command: Command, rest: readonly string[], current: string): Promise<readonly string[]> {
  const read = readOptions(command.options, rest, process.env)
  const given = read.ok ? read.value.positionals : rest.filter((word) => !word.startsWith('-'))
  if (given.length >= command.arity.max) return []
  const { name } = command
  if (name === 'completion') return ['bash', 'fish', 'zsh']
  if (name === 'init') return folders
  if (/^context (use|remove)$/.test(name)) return Object.keys(readContexts().contexts)
  if (/^zone (release|keep|forget)$/.test(name)) return resourceNames(command.options, rest, 'zone')
  if (!takesKind.has(name)) return []
  if (given[0] !== undefined) return given[0].includes('/') ? [] : resourceNames(command.options, rest, given[0])
  const [word = '', ...more] = current.split('/')
  if (more.length === 0) return kindWords
  return withPrefix(`${word}/`, await resourceNames(command.options, rest, word))
}

/** The names of the resources of a kind, in the mesh that the command names. */
async function resourceNames(options: Options, rest: readonly string[], word: string): Promise<readonly string[]> {
  const kind = kindByWord(word)
  const given = rest.filter((one, index) => isClientWord(one, rest[index - 1]))
  const read = readOptions(clientOptions, given, process.env)
  if (!read.ok || !('address' in options)) return []
  const mesh = rest[rest.findIndex((one) => one === '--mesh' || one === '-m') + 1]
  const names = listNames(
    createClient(read.value.values),
    pathOf(kind, rest.some(isMeshFlag) && mesh ? mesh : 'default'),
  )
  const late = new Promise<readonly string[]>((resolve) => setTimeout(resolve, serverLimitMs, []).unref())
  return Promise.race([names, late])
}

const isMeshFlag = (word: string): boolean => word === '--mesh' || word === '-m'
const clientFlags = Object.keys(clientOptions).map(flagName)
const isClientWord = (word: string, before = ''): boolean =>
  clientFlags.includes(word.split('=')[0] ?? '') || clientFlags.includes(before)

async function listNames(client: Client, path: string): Promise<readonly string[]> {
  const { json } = await client.need('GET', `${path}?size=1000`)
  const items: unknown = json !== null && typeof json === 'object' ? Reflect.get(json, 'items') : undefined
  // Words with spaces or control characters cannot be typed as they are.
  return (Array.isArray(items) ? items : [])
    .map((one: { readonly name?: unknown }) => String(one.name))
    .filter((one) => /^[\w.:/-]+$/.test(one))
}
